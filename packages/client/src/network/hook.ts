import { existsSync, mkdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { addressesOf } from "@hull/cni";
import { HullError, invalidArgument } from "@hull/errors";
import { mountAll, unmountAll } from "@hull/sys/mount";
import { joinNames, leaveNames, namesDirectory, readNaming } from "./names.ts";
import { attachmentOf, cniIn, hasNames, keyOf, networkNamed } from "./networks.ts";
import type { PortMapping } from "./ports.ts";

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
    const { action, network: name, namespace, id, owner, ports, directory, naming } = parseRequest(request);
    const network = networkNamed(name, process.env);
    const cni = cniIn(process.env);
    const key = keyOf({ owner, namespace, id });
    const attachment = attachmentOf(key, join(directory, key), ports);
    if (action === "detach") {
      leaveNames(namesDirectory(directory), name, key);
      await cni.remove(network, existsSync(attachment.netns) ? attachment : { ...attachment, netns: "" });
      letGo(attachment.netns);
    } else {
      const { pid } = JSON.parse(await text(process.stdin)) as { pid?: unknown };
      if (typeof pid !== "number" || pid <= 0) throw invalidArgument("the runtime told no pid of the container");
      hold(pid, attachment.netns);
      try {
        const addresses = addressesOf(await cni.add(network, attachment)).map(({ address }) =>
          address.replace(/\/.*/, ""),
        );
        if (naming !== undefined)
          joinNames(
            namesDirectory(directory),
            name,
            { key, addresses, ...readNaming(naming) },
            { peers: hasNames(network, process.env) },
          );
      } catch (error) {
        letGo(attachment.netns);
        throw error;
      }
    }
    return 0;
  } catch (error) {
    writeSync(2, `hull: ${HullError.from(error).message}\n`);
    return 1;
  }
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
