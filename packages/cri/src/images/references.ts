import { HullError, unknown } from "@hull/errors";
import { isDigest } from "@hull/oci/digest";
import { formatReference, normalizeReference, type Reference } from "@hull/oci/reference";

/**
 * What a client wrote, completed as Docker does; where there is a digest, the tag says nothing and is left out.
 * @throws Unknown in containerd's words
 */
export function pullReference(text: string): Reference {
  try {
    return withoutDoubt(normalizeReference(text));
  } catch (error) {
    const problem = /^[0-9a-f]{64}$/.test(text)
      ? `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`
      : `invalid reference format: ${HullError.from(error).message}`;
    throw unknown(`failed to parse image reference ${JSON.stringify(text)}: ${problem}`, { cause: error });
  }
}

/** The name of a record that a client may mean by a text; undefined if it can't be a name. */
export function recordName(text: string): string | undefined {
  try {
    return formatReference(withoutDoubt(normalizeReference(text)));
  } catch {
    return undefined;
  }
}

/** The names under which an image is recorded beside its id: what was asked for, and its digest in that repository. */
export function recordNames(reference: Reference, digest: string): string[] {
  const { domain, path } = reference;
  const byDigest = formatReference({ domain, path, digest: reference.digest ?? digest });
  return reference.tag === undefined ? [byDigest] : [formatReference(reference), byDigest];
}

/** Divides names of records into those with a tag and those with a digest, each as clients write them; ids are neither. */
export function repositoryNames(names: Iterable<string>): { tags: string[]; digests: string[] } {
  const tags: string[] = [];
  const digests: string[] = [];
  for (const name of names) {
    if (isDigest(name)) continue;
    const full = fullName(name);
    if (full !== undefined) (full.digest === undefined ? tags : digests).push(formatReference(full));
  }
  return { tags: tags.sort(), digests: digests.sort() };
}

function fullName(name: string): Reference | undefined {
  try {
    const full = normalizeReference(name);
    // A name without either was completed by a tag that it doesn't have.
    return full.digest === undefined && !name.endsWith(`:${full.tag}`) ? undefined : full;
  } catch {
    return undefined;
  }
}

function withoutDoubt({ domain, path, tag, digest }: Reference): Reference {
  return digest === undefined ? { domain, path, ...(tag === undefined ? {} : { tag }) } : { domain, path, digest };
}
