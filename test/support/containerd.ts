import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Server, startServer } from "./process.ts";

/** The containerd that is compared with: Debian's unless told. */
export const containerdCommand = process.env.CONTAINERD_EXECUTABLE ?? "/usr/bin/containerd";

/** Why the real containerd can't run here; undefined if it can. */
export const noContainerd =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync(containerdCommand)
      ? "needs Debian's containerd package"
      : undefined;

/** A server that speaks containerd's API on a socket. */
export interface Daemon extends Server {
  readonly address: string;
  readonly root: string;
  readonly state: string;
}

/** Starts the real containerd on folders of its own below `folder`; `behind` is a command that becomes the one which follows it. */
export async function startContainerd(
  folder: string,
  { behind = [] }: { behind?: readonly string[] } = {},
): Promise<Daemon> {
  mkdirSync(folder, { recursive: true });
  const address = join(folder, "containerd.sock");
  const root = join(folder, "root");
  const state = join(folder, "state");
  const config = join(folder, "config.toml");
  writeFileSync(
    config,
    `version = 2
root = "${root}"
state = "${state}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${address}"
[debug]
  address = "${join(folder, "debug.sock")}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${join(folder, "opt")}"
`,
  );
  const server = await startServer([...behind, containerdCommand, "-c", config], /successfully booted/);
  return Object.assign(server, { address, root, state });
}
