import { createServer } from "node:net";
import { invalidArgument } from "@hull/errors";

/** A port of the host that leads to one of a container, as CNI's capability "portMappings" has it. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Address of the host; all unless told. */
  readonly hostIP?: string;
}

/**
 * The ports that `-p` says: `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, where HOST and CONTAINER may be ranges of the same length. Without a
 * port of the host `hostPort` is 0. @throws InvalidArgument
 */
export function parsePorts(text: string): PortMapping[] {
  const wrong = (why: string): Error =>
    invalidArgument(`port "${text}" must be of the form "[[IP:]HOST:]CONTAINER[/PROTOCOL]": ${why}`);
  const [, address, host, inside = "", protocol = "tcp"] =
    /^(?:(?:(\[[^\]]*\]|[^:[\]]*):)?([^:]*):)?([^:/]+)(?:\/(\w+))?$/.exec(text) ?? [];
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp")
    throw wrong(`"${protocol}" is not one of tcp, udp, sctp`);
  const containerPorts = range(inside);
  if (containerPorts === undefined) throw wrong(`"${inside}" is not a port or a range of ports`);
  const hostPorts = host === undefined || host === "" ? containerPorts.map(() => 0) : range(host);
  if (hostPorts === undefined) throw wrong(`"${host}" is not a port or a range of ports`);
  if (hostPorts.length !== containerPorts.length) throw wrong("both ranges must be equally long");
  const hostIP = address?.replace(/^\[|\]$/g, "") ?? "";
  return containerPorts.map((containerPort, at) => ({
    hostPort: hostPorts[at] ?? 0,
    containerPort,
    protocol,
    ...(hostIP === "" ? {} : { hostIP }),
  }));
}

function range(text: string): number[] | undefined {
  const [, first = "", last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === "" || from < 1 || to > 65_535 || to < from) return undefined;
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

/** The same with a free port of the host where none was wished. */
export function withHostPorts(mappings: readonly PortMapping[]): Promise<PortMapping[]> {
  return Promise.all(
    mappings.map(async (mapping) =>
      mapping.hostPort === 0 ? { ...mapping, hostPort: await freePort(mapping.hostIP) } : mapping,
    ),
  );
}

/** A port that nobody listens on now: the system chooses. */
function freePort(host = "0.0.0.0"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** As docker lists them: `0.0.0.0:8080->80/tcp`. */
export function formatPorts(mappings: readonly PortMapping[]): string {
  return mappings
    .map(({ hostIP = "0.0.0.0", hostPort, containerPort, protocol }) => {
      const host = hostIP.includes(":") ? `[${hostIP}]` : hostIP;
      return `${host}:${hostPort}->${containerPort}/${protocol}`;
    })
    .join(", ");
}
