import type { AuthConfig } from "@hull/api/gen/cri/v1/cri";
import type { Credentials } from "@hull/engine/registry/index";
import { invalidArgument } from "@hull/errors";

/** The registry of Docker Hub by its names: one in references, others in credentials and on the wire. */
const hub: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/**
 * What a client's credentials mean for a host: nothing if they are for another one. The first of user name, identity token, `auth` (base64 of
 * `name:password`) and registry token counts; none of them is anonymous.
 * @throws InvalidArgument if `auth` is malformed; it is never part of the text
 */
export function credentialsFor(auth: Partial<AuthConfig> | undefined, host: string): Credentials | undefined {
  if (auth === undefined || !isFor(auth.serverAddress ?? "", host)) return undefined;
  if (auth.username) return { username: auth.username, secret: auth.password ?? "" };
  if (auth.identityToken) return { identityToken: auth.identityToken };
  if (auth.auth) return decoded(auth.auth);
  if (auth.registryToken) return { registryToken: auth.registryToken };
  return undefined;
}

/** True if credentials for this address, which is a host or has one, are for the host; an empty one is any. */
function isFor(address: string, host: string): boolean {
  if (address === "") return true;
  const own = URL.parse(address.includes("://") ? address : `https://${address}`)?.host;
  if (own === undefined) throw invalidArgument("parse server address: it has no host");
  return own === host || (hub.has(own) && hub.has(host));
}

function decoded(auth: string): Credentials {
  const text = Buffer.from(auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(auth))
    throw invalidArgument("invalid decoded auth: it is not the base64 of a name, a colon and a password");
  return { username: text.slice(0, colon), secret: text.slice(colon + 1).replace(/\0+$/, "") };
}
