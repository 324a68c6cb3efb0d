/** References: `domain/path[:tag][@digest]`, after the grammar of the distribution project that Docker, nerdctl and CRI share. */

import { invalidArgument } from "@hull/errors";
import { isDigest, parseDigest } from "./digest.ts";

/** A reference in its parts. `domain` may have a port. */
export interface Reference {
  domain: string;
  path: string;
  tag?: string;
  digest?: string;
}

const domainShape =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const componentShape = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagShape = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const maxName = 255;

const quote = (text: string) => JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);

/**
 * Reads a fully qualified reference, as containerd's API uses it: `docker.io/library/alpine:latest`.
 * @throws InvalidArgument; for a short name it says the full one
 */
export function parseReference(text: string): Reference {
  const reference = split(text);
  const first = reference.name.split("/", 1)[0] ?? "";
  const rest = reference.name.slice(first.length + 1);
  if (rest === "" || !looksLikeDomain(first)) {
    checkName("docker.io", reference.name, text);
    throw invalidArgument(
      `reference ${quote(text)} is not fully qualified: say ${quote(formatReference(normalizeReference(text)))}`,
    );
  }
  checkName(first, rest, text);
  return { domain: first, path: rest, ...reference.object };
}

/**
 * Reads a reference as people type it and completes it as Docker does: `alpine` → `docker.io/library/alpine:latest`. No tag is
 * added where there is a digest.
 * @throws InvalidArgument
 */
export function normalizeReference(text: string): Reference {
  if (/^[0-9a-f]{64}$/.test(text))
    throw invalidArgument(`reference ${quote(text)} could be an image's id: a repository may not be named so`);
  const { name, object } = split(text);
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  let domain = "docker.io";
  let path = name;
  if (looksLikeDomain(first)) {
    domain = first === "index.docker.io" ? "docker.io" : first;
    path = name.slice(slash + 1);
  }
  if (domain === "docker.io" && !path.includes("/")) path = `library/${path}`;
  checkName(domain, path, text);
  return { domain, path, ...(object.tag === undefined && object.digest === undefined ? { tag: "latest" } : object) };
}

/** The text of a reference, the inverse of `parseReference`. */
export function formatReference({ domain, path, tag, digest }: Reference): string {
  return `${domain}/${path}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** As people say it: without `docker.io`, `library/` and the tag `latest`. */
export function familiarReference(reference: Reference): string {
  let name = `${reference.domain}/${reference.path}`;
  if (reference.domain === "docker.io") name = reference.path.replace(/^library\/(?=[^/]+$)/, "");
  const tag = reference.tag === undefined || reference.tag === "latest" ? "" : `:${reference.tag}`;
  return `${name}${tag}${reference.digest === undefined ? "" : `@${reference.digest}`}`;
}

/** True if the first part of a name is a host: it has a dot, a port, capitals, or is `localhost`. */
function looksLikeDomain(first: string): boolean {
  return first !== "" && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
}

function split(text: string): { name: string; object: Pick<Reference, "tag" | "digest"> } {
  if (text === "") throw invalidArgument("a reference must not be empty");
  if (text.includes("://"))
    throw invalidArgument(`reference ${quote(text)} must not have a scheme: leave out "${text.split("://")[0]}://"`);
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    parseDigest(digest);
  }
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const hasTag = colon >= 0;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagShape.test(tag))
    throw invalidArgument(
      `reference ${quote(text)} has the malformed tag ${quote(tag)}: 1 to 128 letters, digits, "_", "." and "-", not beginning with "." or "-"`,
    );
  return {
    name: hasTag ? named.slice(0, colon) : named,
    object: { ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) },
  };
}

function checkName(domain: string, path: string, text: string): void {
  if (!domainShape.test(domain))
    throw invalidArgument(`reference ${quote(text)} has the malformed host ${quote(domain)}`);
  for (const component of path.split("/")) {
    if (componentShape.test(component)) continue;
    const lower = component.toLowerCase();
    const hint = lower !== component && componentShape.test(lower) ? `: write ${quote(lower)}` : "";
    throw invalidArgument(`reference ${quote(text)} has the malformed path component ${quote(component)}${hint}`);
  }
  if (domain.length + 1 + path.length > maxName)
    throw invalidArgument(`reference ${quote(text)} has a name longer than ${maxName} characters`);
}
