import { existsSync, mkdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { type Attachment, addressBytes, addressesOf } from "@hull/cni";
import { HullError, invalidArgument } from "@hull/errors";
import { addDefaultRoute } from "@hull/sys/interface";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { attachedNow, forgetAttached, noteAttached, noteDetached } from "./attached.ts";
import { firstInterface } from "./connected.ts";
import { joinNames, leaveNames, namesDirectory, readNaming } from "./names.ts";
import { attachmentOf, cniIn, hasNames, keyOf, networkNamed } from "./networks.ts";
import type { PortMapping } from "./ports.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What a hook is told by its one argument: all that it takes to find the network again, whoever starts the container. */
export interface HookRequest {
  readonly action: "attach" | "detach";
  readonly network: string;
  readonly namespace: string;
  readonly id: string;
  /** See `ContainerKey`. */
  readonly owner?: string;
  readonly ports: readonly PortMapping[];
  /** Directory where the container's network namespace is held. */
  readonly directory: string;
  /** Of the container; eth0 unless said. */
  readonly interface?: string;
  /** Its other names on this network, in place of those of the file. */
  readonly aliases?: readonly string[];
  /** File that says by what it is found, see `writeNaming`; containers of earlier versions have none. */
  readonly naming?: string;
}

/**
 * The OCI hook of a container that is on a network: called by the OCI runtime when the container's namespaces are there, and again when it
 * is gone, whether hull's command, the restart monitor or another client started it. Its standard input is the container's state, OCI
 * runtime specification, runtime.md, "State".
 */
export async function networkHook([request = ""]: readonly string[]): Promise<number> {
  try {
    const asked = parseRequest(request);
    if (asked.action === "detach") await detachAll(asked, process.env);
    else {
      const { pid } = JSON.parse(await text(process.stdin)) as { pid?: unknown };
      if (typeof pid !== "number" || pid <= 0) throw invalidArgument("the runtime told no pid of the container");
      await attach(asked, pid, process.env);
    }
    return 0;
  } catch (error) {
    writeSync(2, `hull: ${HullError.from(error).message}\n`);
    return 1;
  }
}

/** Puts a container on a network, whose first process this is. @throws NotFound for the network; what its plugins say */
export async function attach(request: HookRequest, pid: number, env: Environment): Promise<void> {
  const network = networkNamed(request.network, env);
  const attachment = attachmentFor(request);
  const { naming, aliases, directory } = request;
  hold(pid, attachment.netns);
  try {
    const result = await cniIn(env).add(network, attachment);
    noteAttached(directory, attachment.containerId, request);
    if (naming === undefined) return;
    const addresses = addressesOf(result).map(({ address }) => address.replace(/\/.*/, ""));
    const known = readNaming(naming);
    // Its name, what this network calls it, and its id.
    const names =
      aliases === undefined ? known.names : [...known.names.slice(0, 1), ...aliases, ...known.names.slice(-1)];
    const member = { key: attachment.containerId, addresses, ...known, names };
    joinNames(namesDirectory(directory), network.name, member, { peers: hasNames(network, env) });
  } catch (error) {
    letGo(attachment.netns);
    throw error;
  }
}

/** Takes a container from a network, whether or not it still runs. */
export async function detach(request: HookRequest, env: Environment): Promise<void> {
  const { directory } = request;
  const attachment = attachmentFor(request);
  leaveNames(namesDirectory(directory), request.network, attachment.containerId);
  noteDetached(directory, attachment.containerId, request.network);
  const network = networkNamed(request.network, env);
  await cniIn(env).remove(network, existsSync(attachment.netns) ? attachment : { ...attachment, netns: "" });
  letGo(attachment.netns);
}

/** At the end of a container: from the network that is asked for, and all that it was connected to since its start. */
async function detachAll(request: HookRequest, env: Environment): Promise<void> {
  const { directory } = request;
  const key = keyOf({ owner: undefined, ...request });
  const others = (attachedNow(directory, key) ?? []).filter(({ network }) => network !== request.network);
  forgetAttached(directory, key);
  const results = await Promise.allSettled([request, ...others].map((each) => detach(each, env)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Leads the way out of a container that runs through the first of its networks that has one, where none of them does since another was left. */
export function keepWayOut(requests: readonly HookRequest[], env: Environment): void {
  for (const request of requests) {
    const attachment = attachmentFor(request);
    const result = cniIn(env).resultOf(networkNamed(request.network, env), attachment);
    for (const { dst, gw } of result?.routes ?? []) {
      if (dst !== "0.0.0.0/0" && dst !== "::/0") continue;
      const family = dst === "::/0" ? 6 : 4;
      const gateway = gw ?? result?.ips.find(({ address }) => isIP(address.replace(/\/.*/, "")) === family)?.gateway;
      const bytes = addressBytes(gateway ?? "");
      if (bytes !== undefined)
        inNetworkNamespace(attachment.netns, () => addDefaultRoute(attachment.interfaceName, bytes));
    }
  }
}

/** Each of its networks holds its namespace by itself: they come and go one by one. */
function attachmentFor({ interface: name = firstInterface, directory, ports, ...container }: HookRequest): Attachment {
  const key = keyOf({ owner: undefined, ...container });
  const held = name === firstInterface ? key : `${key}.${name}`;
  return { ...attachmentOf(key, join(directory, held), ports), interfaceName: name };
}

/**
 * Keeps a process's network namespace under a path: plugins find in it what they have to take back when the process is gone. The bridge
 * plugin's rules of masquerading stay for ever otherwise.
 */
function hold(pid: number, path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Of a life of the container that ended with the machine.
  letGo(path);
  writeFileSync(path, "", { mode: 0o600 });
  mountAll([{ type: "bind", source: `/proc/${pid}/ns/net`, options: ["bind"] }], path);
}

function letGo(path: string): void {
  unmountAll(path);
  rmSync(path, { force: true });
}

function parseRequest(argument: string): HookRequest {
  try {
    return JSON.parse(argument) as HookRequest;
  } catch (cause) {
    throw invalidArgument("this is called by OCI runtimes, with a request of hull's own", { cause });
  }
}
