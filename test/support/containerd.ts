import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { type Server, startServer } from "./process.ts";

const debian = "/usr/bin/containerd";

/** The containerd that is compared with: Debian's unless told. */
export const containerdCommand = process.env.CONTAINERD_EXECUTABLE ?? debian;

/** A containerd on this machine. */
export interface Containerd {
  readonly command: string;
  /** `containerd 1.6.20`, as it says itself. */
  readonly name: string;
}

/** All that are here: Debian's, and the one that `CONTAINERD_EXECUTABLE` names if that is another. */
export const containerds: readonly Containerd[] = [
  ...new Set(
    [debian, containerdCommand].filter((command) => existsSync(command)).map((command) => realpathSync(command)),
  ),
].map((command) => {
  const { stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return { command, name: `containerd ${/ v?(\d+\.\d+\.\d+)/.exec(stdout ?? "")?.[1] ?? command}` };
});

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

/**
 * Starts the real containerd on folders of its own below `folder`; `behind` is a command that becomes the one which follows it. Its shims are
 * those beside it.
 */
export async function startContainerd(
  folder: string,
  { behind = [], command = containerdCommand }: { behind?: readonly string[]; command?: string } = {},
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
  const server = await startServer([...behind, command, "-c", config], /successfully booted/, {
    env: { PATH: `${dirname(command)}${delimiter}${process.env.PATH}` },
  });
  return Object.assign(server, { address, root, state });
}
