import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type NetworkNamespace, noNetworks } from "../support/network-namespace.ts";
import { type Outcome, runProgram } from "../support/process.ts";

/** nerdctl's executable; Debian has no package of it. */
const executable = process.env.NERDCTL_EXECUTABLE ?? "";

/** Why nerdctl can't be had here; undefined if it can. */
export const noNerdctl = executable === "" ? "needs nerdctl, which NERDCTL_EXECUTABLE names" : noNetworks;

/** nerdctl on folders of its own, in a network namespace, for a daemon that serves containerd's API and runs in there as well. */
export class Nerdctl {
  /** Begins a command line. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;

  constructor(folder: string, address: string, namespace: string, network: NetworkNamespace) {
    mkdirSync(folder, { recursive: true });
    this.command = [
      ...[...network.behind, executable, "--address", address, "--namespace", namespace],
      ...["--data-root", join(folder, "data"), "--cni-netconfpath", join(folder, "cni")],
      ...["--bridge-ip", network.subnet.replace(/0\/24$/, "1/24"), "--cgroup-manager", "cgroupfs"],
    ];
    this.env = { NERDCTL_TOML: join(folder, "nerdctl.toml"), DOCKER_CONFIG: join(folder, "docker") };
  }

  /** Runs it to its end, with what it reads in a pipe. */
  run(args: readonly string[], stdin?: string): Promise<Outcome> {
    return runProgram([...this.command, ...args], { env: this.env, stdin });
  }

  /** The same for one that has to succeed. Gives its standard output, trimmed. @throws Error with what it said */
  async must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(args);
    if (status !== 0) throw new Error(`nerdctl ${args.join(" ")} ended with ${status}: ${stderr}${stdout}`);
    return stdout.trim();
  }
}
