/** Where the images of a domain are fetched from: its registry, and mirrors before it. */

/** What a host is used for. */
export type HostCapability = "pull" | "resolve" | "push" | "referrers";

/** One place to ask. The keys are those of containerd's `hosts.toml`. */
export interface RegistryHost {
  scheme: "https" | "http";
  /** with the port, if it isn't the scheme's */
  host: string;
  /** path of the API: `/v2`, or what a mirror with `override_path` says */
  path: string;
  capabilities: readonly HostCapability[];
  tls?: {
    /** PEM texts that are trusted beside the system's authorities */
    ca?: readonly string[];
    /** PEM texts */
    client?: { certificate: string; key: string };
    skipVerify?: boolean;
  };
  /** Sent with each request to this host. */
  headers?: Readonly<Record<string, string>>;
  /** ms within which a connection has to come about. */
  dialTimeout?: number;
  /** Ask again by plain HTTP if TLS can't be spoken. */
  fallBackToHttp?: boolean;
}

/** Gives the hosts for a domain, in the order they are tried. */
export type HostsProvider = (domain: string) => readonly RegistryHost[] | Promise<readonly RegistryHost[]>;

/** True for names of this machine itself. */
export function isLocalhost(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** The domain's own registry, no mirrors. Plain HTTP if told so or the port is 80; for this machine itself if TLS fails. */
export function defaultHosts(options: { plainHttp?: boolean; tls?: RegistryHost["tls"] } = {}): HostsProvider {
  return (domain) => {
    const plain = options.plainHttp === true || domain.endsWith(":80");
    const host: RegistryHost = {
      scheme: plain ? "http" : "https",
      host: domain === "docker.io" ? "registry-1.docker.io" : domain,
      path: "/v2",
      capabilities: ["pull", "resolve", "push", "referrers"],
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(!plain && isLocalhost(domain) ? { fallBackToHttp: true } : {}),
    };
    return [host];
  };
}
