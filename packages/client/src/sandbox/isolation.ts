import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Options } from "@hull/api/gen/containerd/runc/v1/options";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { encodeAny } from "@hull/api/typeurl";
import { failedPrecondition } from "@hull/errors";
import { which } from "@hull/sys/program";
import type { Client } from "../client.ts";
import type { Isolation, SandboxOptions } from "./options.ts";

/** What a container's record names to be run by. */
export interface SandboxRuntime {
  readonly name: string;
  readonly options?: Any;
}

const runcShim = "io.containerd.runc.v2";
const gvisorShim = { program: "containerd-shim-runsc-v1", name: "io.containerd.runsc.v1" };

/** @throws FailedPrecondition if gVisor is asked for and isn't installed */
export function isolationOf({ isolation = "container" }: SandboxOptions): Isolation {
  if (isolation === "container") return isolation;
  if (which(gvisorShim.program) !== null || which("runsc") !== null) return "gvisor";
  if (isolation === "auto") return "container";
  throw failedPrecondition(
    'isolation "gvisor" needs runsc in PATH: install gVisor (Debian: apt-get install runsc), or use "auto"',
  );
}

/** The runtime of a sandbox; `folder` is its own, where a program for it may be left. */
export function runtimeOf(isolation: Isolation, folder: string): SandboxRuntime {
  if (isolation === "container") return { name: runcShim };
  if (which(gvisorShim.program) !== null) return { name: gvisorShim.name };
  // Without gVisor's shim nothing tells runsc its flags, and a network of its own is one that newer kernels don't let it make.
  const program = join(folder, "runsc");
  writeFileSync(program, `#!/bin/sh\nexec '${which("runsc")}' --network=none "$@"\n`, { flag: "wx", mode: 0o755 });
  chmodSync(program, 0o755);
  const options = encodeAny("containerd.runc.v1.Options", Options, { binaryName: program });
  return { name: runcShim, options };
}

/** The ids of the host that stand for 0 to 65535 in a user namespace. */
export interface IdBlock {
  readonly first: number;
  readonly size: number;
}

/**
 * Blocks of 65,536 ids between those that systemd gives to containers and the end of what is positive in 32 bits: systemd's table of ids
 * (UIDS-GIDS.md) has nobody there.
 */
const blocks = { first: 0x7000_0000, count: 4095, size: 65_536 };

/** Ids for one sandbox: at random, so that two seldom have the same, and neither those of anybody else. */
export function randomIds(): IdBlock {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return { first: blocks.first + (random % blocks.count) * blocks.size, size: blocks.size };
}

export const snapshotLabelsOf = ({ first, size }: IdBlock): Record<string, string> => ({
  "containerd.io/snapshot/uidmapping": `0:${first}:${size}`,
  "containerd.io/snapshot/gidmapping": `0:${first}:${size}`,
});

/** Daemons on which a container with a user namespace has failed to start, and the same without one hasn't. */
const unable = new Set<string>();

export const withoutUserNamespaces = (client: Client): void => void unable.add(client.address);

/** Whether the daemon shows an image's files with other owners: without that root in a user namespace sees nobody's. */
export async function mapsOwners(client: Client, snapshotter: string): Promise<boolean> {
  if (unable.has(client.address)) return false;
  const filters = [`type==io.containerd.snapshotter.v1,id==${snapshotter}`];
  const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters });
  return plugins.some(({ capabilities }) => capabilities.includes("remap-ids"));
}
