/** What a network answered to an attachment, in the shape of version 1.0.0 of the specification, whichever version it was asked in. */
export interface Result {
  readonly interfaces: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly ips: readonly ResultAddress[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns: {
    readonly nameservers: readonly string[];
    readonly domain: string;
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  /** As the plugin printed it. */
  readonly raw: unknown;
}

export interface ResultAddress {
  /** With the length of its prefix: `10.1.0.2/16`. */
  readonly address: string;
  readonly gateway?: string;
  /** Place of its interface in `interfaces`. */
  readonly interface?: number;
}

/**
 * Reads a result of any version: from 0.3.0 on it has lists of interfaces and addresses, before that `ip4` and `ip6`. CNI specification,
 * section 5 "Success". What is missing or odd is left out.
 */
export function parseResult(raw: unknown): Result {
  const result = record(raw);
  const old = [result.ip4, result.ip6].flatMap((value): ResultAddress[] => {
    const { ip, gateway } = record(value);
    return typeof ip === "string" ? [{ address: ip, ...(typeof gateway === "string" ? { gateway } : {}) }] : [];
  });
  const oldRoutes = [result.ip4, result.ip6].flatMap((value) => list(record(value).routes));
  return {
    interfaces: list(result.interfaces).flatMap((value) => {
      const { name, mac, sandbox } = record(value);
      if (typeof name !== "string") return [];
      return [{ name, ...text("mac", mac), ...text("sandbox", sandbox) }];
    }),
    ips: [
      ...old,
      ...list(result.ips).flatMap((value): ResultAddress[] => {
        const { address, gateway, interface: at } = record(value);
        if (typeof address !== "string") return [];
        return [{ address, ...text("gateway", gateway), ...(typeof at === "number" ? { interface: at } : {}) }];
      }),
    ],
    routes: [...oldRoutes, ...list(result.routes)].flatMap((value) => {
      const { dst, gw } = record(value);
      return typeof dst === "string" ? [{ dst, ...text("gw", gw) }] : [];
    }),
    dns: dnsOf(record(result.dns)),
    raw,
  };
}

/** The addresses that the container itself has: those of interfaces in its namespace. */
export function addressesOf({ interfaces, ips }: Result): ResultAddress[] {
  return ips.filter(({ interface: at }) => at === undefined || (interfaces[at]?.sandbox ?? "") !== "");
}

function dnsOf({ nameservers, domain, search, options }: Record<string, unknown>): Result["dns"] {
  const texts = (value: unknown): string[] => list(value).filter((item): item is string => typeof item === "string");
  return {
    nameservers: texts(nameservers),
    domain: typeof domain === "string" ? domain : "",
    search: texts(search),
    options: texts(options),
  };
}

function text<K extends string>(key: K, value: unknown): { [P in K]?: string } {
  return typeof value === "string" && value !== "" ? ({ [key]: value } as { [P in K]?: string }) : {};
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
