import { type Container, ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Client } from "@hull/client/client";
import { fromWireDescriptor, type Image } from "@hull/client/images";
import { nearest } from "@hull/engine/plugin/nearest";
import { failedPrecondition, type HullError, invalidArgument, isCode, notFound } from "@hull/errors";
import { familiarReference, formatReference, normalizeReference, parseReference } from "@hull/oci/reference";
import { labelNames } from "./labels.ts";
import { shortId } from "./names.ts";

/** What a container is called: its name, else its id. */
export function nameOf({ id, labels }: Pick<Container, "id" | "labels">): string {
  return labels[labelNames.name] ?? shortId(id);
}

/** The container of this id, name, or beginning of an id. @throws NotFound; FailedPrecondition if several ids begin so */
export async function findContainer(client: Client, key: string): Promise<Container> {
  const containers = client.service(ContainersDefinition);
  // Anything else is no id or name, and could mean something else in a filter.
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(key)) throw await noContainer(client, key);
  const filters = [`id~="^${key.replaceAll(".", "\\\\.")}"`, `labels."${labelNames.name}"=="${key}"`];
  const { containers: found } = await containers.list({ filters });
  const exact = found.find(({ id }) => id === key) ?? found.find(({ labels }) => labels[labelNames.name] === key);
  if (exact !== undefined) return exact;
  const [first, ...others] = found;
  if (first === undefined) throw await noContainer(client, key);
  if (others.length > 0)
    throw failedPrecondition(
      `several containers have an id that begins with "${key}": ${found.map((each) => `${each.id.slice(0, 16)} (${nameOf(each)})`).join(", ")}`,
    );
  return first;
}

async function noContainer(client: Client, key: string): Promise<HullError> {
  const { containers } = await client.service(ContainersDefinition).list({});
  const near = nearest(key, containers.map(nameOf));
  return notFound(`no such container: "${key}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

/** The container that has this name. */
export async function containersNamed(client: Client, name: string): Promise<Container[]> {
  const filters = [`labels."${labelNames.name}"==${JSON.stringify(name)}`];
  return (await client.service(ContainersDefinition).list({ filters })).containers;
}

/** Every image's record. */
export async function listImages(client: Client): Promise<(Image & { createdAt: Date | undefined })[]> {
  const { images } = await client.service(ImagesDefinition).list({});
  return images.flatMap(({ name, target, labels, createdAt }) =>
    target === undefined
      ? []
      : [{ name, target: fromWireDescriptor(target), labels, createdAt: dateOf(createdAt?.seconds) }],
  );
}

const dateOf = (seconds: bigint | undefined): Date | undefined =>
  seconds === undefined ? undefined : new Date(Number(seconds) * 1000);

/** What the record of an image without a name is called, before its digest: no reference begins so. */
export const namelessPrefix = "<none>@";

/** How people say an image's name, in its repository and tag; `<none>` where it has none. */
export function repositoryAndTag(name: string): { repository: string; tag: string } {
  if (name.startsWith(namelessPrefix)) return { repository: "<none>", tag: "<none>" };
  try {
    const { tag, digest, ...rest } = parseReference(name);
    const repository = familiarReference(rest);
    return { repository, tag: tag ?? (digest === undefined ? "latest" : "<none>") };
  } catch {
    return { repository: name, tag: "<none>" };
  }
}

/** The full name that people mean by a short one. @throws InvalidArgument */
export const fullName = (text: string): string => formatReference(normalizeReference(text));

/**
 * The images that a name, an id or the beginning of an id means: one by name, all names of one by id.
 * @throws NotFound; FailedPrecondition if several ids begin so
 */
export async function findImages(client: Client, text: string): Promise<Image[]> {
  const all = await listImages(client);
  const byName = all.filter(({ name }) => name === text || name === fullNameOrNone(text));
  const [named] = byName;
  if (named !== undefined) return [named];
  const hex = /^(?:sha256:)?([0-9a-f]{2,64})$/.exec(text)?.[1];
  const byId = hex === undefined ? [] : all.filter(({ target }) => target.digest.startsWith(`sha256:${hex}`));
  const digests = [...new Set(byId.map(({ target }) => target.digest))];
  if (digests.length > 1)
    throw failedPrecondition(`several images have an id that begins with "${text}": ${digests.join(", ")}`);
  if (byId.length > 0) return byId;
  const near = await nearImage(client, text);
  throw notFound(`no such image: "${text}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

/** The image here whose name is nearest to a text that names none. */
export async function nearImage(client: Client, text: string): Promise<string | undefined> {
  const names = (await listImages(client)).flatMap(({ name }) => {
    const { repository, tag } = repositoryAndTag(name);
    return [repository, `${repository}:${tag}`];
  });
  return nearest(text, names);
}

function fullNameOrNone(text: string): string | undefined {
  try {
    return fullName(text);
  } catch (error) {
    if (isCode(error, "invalidArgument")) return undefined;
    throw error;
  }
}

/** @throws InvalidArgument unless there are so many arguments; `what` names them in the message */
export function needArguments(args: readonly string[], least: number, most: number, what: string): void {
  if (args.length < least) throw invalidArgument(`${what} needed; see --help`);
  if (args.length > most) throw invalidArgument(`"${args[most]}" is one argument too many; see --help`);
}
