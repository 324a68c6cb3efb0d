import { isCode, notFound } from "@hull/errors";
import { mediaTypes, type Reference } from "@hull/oci";
import type { RegistryOptions } from "./client.ts";
import { defaultHosts, type HostCapability, type HostsProvider, type RegistryHost } from "./hosts.ts";
import type { RegistryRequest, Send } from "./request.ts";

const accept = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerList,
  mediaTypes.dockerManifest,
  "*/*",
].join(", ");

/** What one request to a repository says beside where it goes. */
export interface RequestParts extends Partial<Pick<RegistryRequest, "body" | "patience" | "scope">> {
  headers?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, string>>;
}

/** The API of repositories at their hosts (OCI distribution spec, section "API"): which hosts are asked, and with what. */
export class Endpoints {
  readonly send: Send;
  readonly #options: RegistryOptions;
  readonly #hosts: HostsProvider;

  constructor(send: Send, options: RegistryOptions) {
    this.send = send;
    this.#options = options;
    this.#hosts = options.hosts ?? defaultHosts();
  }

  /** Asks the hosts in order. Of their errors the most telling one is thrown: "not found" only if all say so. */
  async firstOf<T>(
    reference: Reference,
    capability: HostCapability,
    ask: (host: RegistryHost) => Promise<T>,
  ): Promise<T> {
    let failure: unknown;
    for (const host of await this.#hosts(reference.domain)) {
      if (!host.capabilities.includes(capability)) continue;
      try {
        return await ask(host);
      } catch (error) {
        if (isCode(error, "canceled") || isCode(error, "deadlineExceeded")) throw error;
        if (failure === undefined || isCode(failure, "notFound")) failure = error;
      }
    }
    throw failure ?? notFound(`no host is set up to ${capability} from "${reference.domain}"`);
  }

  /** The host that something is written to: the first that may be, and no other, so that all of an image is in one place. @throws NotFound */
  async writable(reference: Reference): Promise<RegistryHost> {
    const hosts = await this.#hosts(reference.domain);
    const host = hosts.find(({ capabilities }) => capabilities.includes("push"));
    if (host === undefined) throw notFound(`no host is set up to push to "${reference.domain}"`);
    return host;
  }

  /** What every request to a host says. */
  headers(host: RegistryHost): Record<string, string> {
    return {
      accept,
      "accept-encoding": "identity",
      "user-agent": this.#options.userAgent ?? "hull",
      ...this.#options.headers,
      ...host.headers,
    };
  }

  /** A request to `<host>/v2/<repository>/<path>`. */
  request(
    host: RegistryHost,
    reference: Reference,
    path: string,
    method: RegistryRequest["method"],
    signal: AbortSignal,
    { headers = {}, query = {}, ...parts }: RequestParts = {},
  ): RegistryRequest {
    const url = new URL(`${host.scheme}://${host.host}${host.path}/${reference.path}/${path}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const own = reference.domain === "docker.io" ? "registry-1.docker.io" : reference.domain;
    // A mirror of several registries has to know which one is meant.
    if (host.host !== own) url.searchParams.set("ns", reference.domain);
    return {
      method,
      url,
      headers: { ...this.headers(host), ...headers },
      signal,
      host,
      scope: `repository:${reference.path}:pull`,
      patience: "quick",
      ...parts,
    };
  }
}
