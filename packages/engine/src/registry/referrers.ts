import { isCode } from "@hull/errors";
import {
  type Descriptor,
  digestOf,
  encodeJson,
  maxManifestSize,
  mediaTypes,
  orderedDescriptor,
  parseDigest,
  parseDocument,
  parseIndex,
  parseReference,
  type Reference,
} from "@hull/oci";
import { errorOf } from "./answers.ts";
import type { Endpoints } from "./endpoints.ts";
import type { RegistryHost } from "./hosts.ts";
import { discard, type RegistryRequest } from "./request.ts";

/** The tag that lists what refers to a manifest where a registry has no such list (OCI distribution spec, "Referrers Tag Schema"). */
function fallbackTag(digest: string): string {
  const { algorithm, hex } = parseDigest(digest);
  return `${algorithm}-${hex}`;
}

/** See Registry.referrers (OCI distribution spec, "Listing Referrers"). */
export async function listReferrers(
  endpoints: Endpoints,
  text: string,
  subject: string,
  { artifactType, signal }: { artifactType?: string; signal: AbortSignal },
): Promise<Descriptor[]> {
  const reference = parseReference(text);
  parseDigest(subject);
  const query: Record<string, string> = artifactType === undefined ? {} : { artifactType };
  const matches = (each: Descriptor): boolean => artifactType === undefined || each.artifactType === artifactType;
  try {
    return await endpoints.firstOf(reference, "referrers", async (host) => {
      const request = endpoints.request(host, reference, `referrers/${subject}`, "GET", signal, { query });
      // A registry need not know how to filter.
      return ((await readIndex(endpoints, request)) ?? (await fallback(host))).filter(matches);
    });
  } catch (error) {
    if (isCode(error, "notFound")) return [];
    throw error;
  }

  async function fallback(host: RegistryHost): Promise<Descriptor[]> {
    const request = endpoints.request(host, reference, `manifests/${fallbackTag(subject)}`, "GET", signal);
    return (await readIndex(endpoints, request)) ?? [];
  }
}

/** The manifests of an index; undefined if it isn't there. */
async function readIndex(endpoints: Endpoints, request: RegistryRequest): Promise<Descriptor[] | undefined> {
  const response = await endpoints.send(request);
  const type = response.headers.get("content-type") ?? "";
  if (response.status === 404 || (response.ok && !type.startsWith(mediaTypes.ociIndex))) {
    await discard(response);
    return undefined;
  }
  if (!response.ok) throw await errorOf(response, "GET", request.url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    chunks.push(chunk);
    // The parser refuses what is longer.
    if (size > maxManifestSize) break;
  }
  return parseIndex(`"${request.url.pathname}"`, Buffer.concat(chunks)).manifests;
}

/** Adds a manifest that was pushed, if it refers to another, to the list under that one's tag. */
export async function addToFallbackTag(
  endpoints: Endpoints,
  reference: Reference,
  host: RegistryHost,
  descriptor: Descriptor,
  bytes: Uint8Array,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const document = parseDocument(`"${descriptor.digest}"`, bytes, descriptor.mediaType);
  const { subject, artifactType, annotations } = document.kind === "manifest" ? document.manifest : document.index;
  if (subject === undefined) return;
  const kind = artifactType ?? (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
  const path = `manifests/${fallbackTag(subject.digest)}`;
  const scope = `repository:${reference.path}:pull,push`;
  const known = (await readIndex(endpoints, endpoints.request(host, reference, path, "GET", signal, { scope }))) ?? [];
  if (known.some(({ digest }) => digest === descriptor.digest)) return;
  const { mediaType, digest, size } = descriptor;
  const entry: Descriptor = {
    mediaType,
    digest,
    size,
    ...(annotations === undefined ? {} : { annotations }),
    ...(kind === undefined ? {} : { artifactType: kind }),
  };
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [...known, entry].map(orderedDescriptor),
  };
  const body = encodeJson(index);
  const put = endpoints.request(host, reference, path, "PUT", signal, {
    scope,
    body,
    patience: "patient",
    headers: { "content-type": mediaTypes.ociIndex, "docker-content-digest": digestOf(body) },
  });
  const response = await endpoints.send(put);
  if (!response.ok) throw await errorOf(response, "PUT", put.url);
  await discard(response);
}
