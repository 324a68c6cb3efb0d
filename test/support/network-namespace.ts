import { existsSync } from "node:fs";

/** A network namespace with nothing but its loopback, for tests of networks; it ends when it is disposed of. */
export interface NetworkNamespace extends AsyncDisposable {
  readonly path: string;
  /** A command that becomes the one which follows it, in there. */
  readonly behind: readonly string[];
  /** A subnet that no other test's containers have: leases of addresses are the host's. */
  readonly subnet: string;
  /** One of IPv6. */
  readonly subnet6: string;
}

const hasPlugins = ["/usr/lib/cni", "/opt/cni/bin"].some((directory) => existsSync(`${directory}/portmap`));

/** Why containers can't have networks here; undefined if they can. */
export const noNetworks =
  process.getuid?.() !== 0
    ? "needs root"
    : !hasPlugins
      ? "needs CNI's plugins"
      : Bun.which("iptables") === null
        ? "needs iptables"
        : undefined;

export async function openNetworkNamespace(): Promise<NetworkNamespace> {
  const holder = Bun.spawn(["unshare", "-n", "sh", "-c", "ip link set lo up; echo ready; read _"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const _ of holder.stdout) break;
  const path = `/proc/${holder.pid}/ns/net`;
  return {
    path,
    behind: ["nsenter", `--net=${path}`],
    subnet: `10.${100 + (process.pid % 100)}.${holder.pid % 250}.0/24`,
    subnet6: `fd00:${process.pid.toString(16).slice(-4)}:${holder.pid.toString(16).slice(-4)}::/64`,
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await holder.exited;
    },
  };
}
