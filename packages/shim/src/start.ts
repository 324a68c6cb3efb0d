/** The action `start`: makes sure that a shim serves the container's group, and prints its address. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BootstrapParams } from "@hull/api/gen/containerd/runtime/bootstrap/v1/bootstrap";
import { unavailable } from "@hull/errors";
import { connectTtrpc } from "@hull/ttrpc/client";
import type { ShimFlags } from "./flags.ts";

const socketDirectory = "/run/containerd/s";

/** Annotations that name the group whose containers share a shim, the first that is there counts. */
const groupAnnotations = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/**
 * Starts the serving process unless one answers already.
 *
 * @param stdin what the daemon says: `BootstrapParams` (containerd 2.3 and later), or the runtime's options
 * @param self command line that leads to this program's shim
 * @returns what to print: JSON of a `BootstrapResult` for a daemon that knows it, the plain address for an older one
 */
export async function startAction(flags: ShimFlags, stdin: Uint8Array, self: readonly string[]): Promise<string> {
  const params = bootstrapParams(stdin, flags.id);
  const base = params?.socketDir === undefined || params.socketDir === "" ? socketDirectory : params.socketDir;
  const socket = join(base, socketName(flags));
  if (!(await answers(socket))) {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o711 });
    rmSync(socket, { force: true });
    await startServing(flags, socket, self);
  }
  const address = `unix://${socket}`;
  return params === undefined ? address : JSON.stringify({ version: 3, address, protocol: "ttrpc" });
}

function bootstrapParams(stdin: Uint8Array, id: string): BootstrapParams | undefined {
  try {
    const params = BootstrapParams.decode(stdin);
    // An Any of options, the older form, has its type's name in the same field.
    return params.instanceId === id ? params : undefined;
  } catch {
    return undefined;
  }
}

/** One socket for each daemon, namespace and group. */
function socketName({ address, namespace, id }: ShimFlags): string {
  return createHash("sha256")
    .update(join(address, namespace, groupOf(id)))
    .digest("hex");
}

function groupOf(id: string): string {
  if (!existsSync("config.json")) return id;
  const spec = JSON.parse(readFileSync("config.json", "utf8")) as { annotations?: Record<string, string> };
  return groupAnnotations.map((name) => spec.annotations?.[name]).find((group) => group !== undefined) ?? id;
}

async function answers(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  try {
    await (await connectTtrpc(socket)).close();
    return true;
  } catch {
    return false;
  }
}

async function startServing(flags: ShimFlags, socket: string, self: readonly string[]): Promise<void> {
  const { namespace, id, address } = flags;
  const argv = [...self, "-namespace", namespace, "-id", id, "-address", address, "-socket", socket];
  const child = Bun.spawn(argv, { stdio: ["ignore", "pipe", "ignore"], detached: true });
  const said = await new Response(child.stdout).text();
  if (!said.startsWith("ready")) {
    throw unavailable(
      `shim for container "${id}" ended with status ${await child.exited} before it listened on "${socket}"`,
    );
  }
  child.unref();
}
