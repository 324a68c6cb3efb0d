/** Containers on a bridge with published ports: the daemon and all of its containers in a network namespace of the test's own. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { type Outcome, runProgram } from "../support/process.ts";

setDefaultTimeout(120_000);
const hasPlugins = ["/usr/lib/cni", "/opt/cni/bin"].some((directory) => existsSync(`${directory}/portmap`));
const why =
  noCli ?? (hasPlugins ? undefined : "needs CNI's plugins") ?? (Bun.which("iptables") ? undefined : "needs iptables");
const suite = why === undefined ? describe : describe.skip;

suite(`hull run --network bridge${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let cli: Cli;
  let holder: ReturnType<typeof spawn>;
  // Addresses that nothing else here has: the host's own ranges are told apart by namespace, leases of addresses are not.
  const subnet = `10.${100 + (process.pid % 100)}.0.0/24`;
  const inside = (...args: string[]): Promise<Outcome> =>
    runProgram(["nsenter", `--net=/proc/${holder.pid}/ns/net`, ...args], {
      env: { ...process.env, HULL_SUBNET: subnet },
    });
  const hull = (...args: string[]): Promise<Outcome> => inside(...cli.command, ...args);

  beforeAll(async () => {
    cli = openCli();
    holder = spawn("unshare", ["-n", "sh", "-c", "ip link set lo up; echo ready; read _"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    expect((await hull("load", "-i", `${cli.folder}/busybox.tar`)).status).toBe(0);
  });
  afterAll(async () => {
    const ids = (await hull("ps", "-aq")).stdout.split("\n").filter((id) => id !== "");
    if (ids.length > 0) await hull("rm", "-f", ...ids);
    await cli[Symbol.asyncDispose]();
    holder.stdin?.end();
  });
  const rules = async (): Promise<string[]> =>
    (await inside("iptables", "-t", "nat", "-S")).stdout
      .split("\n")
      .filter((rule) => /MASQUERADE$|DNAT --to/.test(rule) && !rule.includes("0x2000"));

  test("it has an address, a way out and a resolver; published ports lead to it; nothing is left", async () => {
    const made = await hull(
      "run",
      "-d",
      "--name",
      "web",
      "-p",
      "8081:80",
      "-p",
      "53/udp",
      "busybox",
      "httpd",
      "-f",
      "-h",
      "/etc",
    );
    expect({ status: made.status, started: made.stderr.replace(/^hull: started the daemon.*\n/, "") }).toEqual({
      status: 0,
      started: "",
    });
    const { stdout: address } = await hull("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web");
    expect(address).toMatch(/^10\.\d+\.0\.\d+\n$/);
    expect((await hull("ps", "--format", "{{.Ports}}")).stdout).toMatch(
      /^0\.0\.0\.0:8081->80\/tcp, 0\.0\.0\.0:\d+->53\/udp\n$/,
    );
    expect((await hull("port", "web", "80")).stdout).toBe("0.0.0.0:8081\n");
    expect((await hull("exec", "web", "ip", "route")).stdout).toContain("default via");
    await inside("ip", "addr", "add", "10.255.255.1/32", "dev", "lo");
    const fetched = await inside(
      "bash",
      "-c",
      'exec 3<>/dev/tcp/10.255.255.1/8081; printf "GET /passwd HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3',
    );
    expect(fetched.stdout).toContain("root:x:0:0");
    // It has another life, with its ports, after a restart.
    expect((await hull("restart", "-t", "0", "web")).status).toBe(0);
    expect((await hull("exec", "web", "ip", "-4", "addr", "show", "eth0")).stdout).toContain("inet 10.");
    expect((await rules()).length).toBeGreaterThan(0);
    expect((await hull("rm", "-f", "web")).status).toBe(0);
    expect(await rules()).toEqual([]);
    expect(readdirSync(`${cli.state}/netns`)).toEqual([]);
  });

  test("what can't be is said before anything is made", async () => {
    expect((await hull("run", "--network", "nowhere", "busybox")).stderr).toContain(
      'no such network: "nowhere"; there are "none", "host", "bridge"',
    );
    expect((await hull("run", "-p", "80", "--network", "host", "busybox")).stderr).toContain(
      "ports can't be published with --network host",
    );
    expect((await hull("run", "-p", "80:x", "busybox")).stderr).toContain('"x" is not a port');
    expect((await hull("ps", "-aq")).stdout).toBe("");
  });
});
