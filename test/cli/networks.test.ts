/** Networks that hull makes: names, isolation, removal; the daemon and all of its containers in a network namespace of the test's own. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { type Outcome, runProgram } from "../support/process.ts";

setDefaultTimeout(120_000);
const hasPlugins = ["/usr/lib/cni", "/opt/cni/bin"].some((directory) => existsSync(`${directory}/firewall`));
const why =
  noCli ?? (hasPlugins ? undefined : "needs CNI's plugins") ?? (Bun.which("iptables") ? undefined : "needs iptables");
const suite = why === undefined ? describe : describe.skip;

suite(`hull network${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let cli: Cli;
  let holder: ReturnType<typeof spawn>;
  // host-local's leases are the host's, by network: no two runs of this may share a name.
  const name = (network: string): string => `${network}-${process.pid}`;
  const part = process.pid % 250;
  const [front, back, closed] = [name("front"), name("back"), name("closed")];
  const inside = (...args: string[]): Promise<Outcome> =>
    runProgram(["nsenter", `--net=/proc/${holder.pid}/ns/net`, ...args], {
      env: { ...process.env, NETCONFPATH: `${cli.folder}/cni`, HULL_SUBNET: `10.91.${part}.0/24` },
    });
  const hull = (...args: string[]): Promise<Outcome> => inside(...cli.command, ...args);
  const ok = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await hull(...args);
    expect({ args, status, stderr: stderr.replace(/^hull: started the daemon.*\n/, "") }).toEqual({
      args,
      status: 0,
      stderr: "",
    });
    return stdout.trimEnd();
  };
  const reaches = async (from: string, to: string): Promise<boolean> =>
    (await hull("exec", from, "ping", "-c", "1", "-W", "2", to)).status === 0;
  const addressOf = (container: string): Promise<string> =>
    ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container);
  const start = (network: string, container: string, ...flags: string[]): Promise<string> =>
    ok("run", "-d", "--network", network, "--name", container, ...flags, "busybox", "sleep", "1000");

  beforeAll(async () => {
    cli = openCli();
    holder = spawn(
      "unshare",
      ["-n", "sh", "-c", "ip link set lo up; sysctl -qw net.ipv4.ip_forward=1; echo ready; read _"],
      {
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    await new Promise((resolve) => holder.stdout?.once("data", resolve));
    await ok("load", "-i", `${cli.folder}/busybox.tar`);
  });
  afterAll(async () => {
    const ids = (await hull("ps", "-aq")).stdout.split("\n").filter((id) => id !== "");
    if (ids.length > 0) await hull("rm", "-f", ...ids);
    for (const network of [front, back, closed]) await hull("network", "rm", "-f", network);
    await cli[Symbol.asyncDispose]();
    holder.stdin?.end();
  });

  test("containers of one find each other by name, alias and id, while they run", async () => {
    expect(await ok("network", "create", "--subnet", `10.92.${part}.0/24`, "--label", "a=b", front)).toBe(front);
    await start(front, "web", "--network-alias", "www");
    await start(front, "db", "--hostname", "store", "--add-host", "outside:10.9.9.9");
    for (const each of ["web", "www", await addressOf("web")]) expect(await reaches("db", each)).toBe(true);
    expect(await reaches("web", "db")).toBe(true);
    const hosts = await ok("exec", "db", "cat", "/etc/hosts");
    expect(hosts).toContain("10.9.9.9\toutside");
    expect(hosts).toContain(`${await addressOf("db")}\tstore db`);
    expect(hosts).toMatch(new RegExp(`^${await addressOf("web")}\tweb www [0-9a-f]{12}$`, "m"));
    // What a container writes there stays.
    await ok("exec", "db", "sh", "-c", "echo '10.1.1.1 mine' >>/etc/hosts");

    await ok("rename", "web", "shop");
    expect(await reaches("db", "shop")).toBe(true);
    expect(await ok("exec", "db", "cat", "/etc/hosts")).not.toMatch(/\tweb /);
    await ok("restart", "-t", "0", "shop");
    expect(await reaches("db", "shop")).toBe(true);
    await ok("stop", "-t", "0", "shop");
    expect(await ok("exec", "db", "cat", "/etc/hosts")).not.toContain("shop");
    expect(await ok("exec", "db", "cat", "/etc/hosts")).toContain("10.1.1.1 mine");

    const [shown] = JSON.parse(await ok("network", "inspect", front));
    expect(shown).toMatchObject({
      Name: front,
      Driver: "bridge",
      Internal: false,
      Labels: { a: "b" },
      IPAM: { Config: [{ Subnet: `10.92.${part}.0/24` }] },
    });
    expect(Object.values(shown.Containers)).toEqual([
      { Name: "db", IPv4Address: await addressOf("db"), IPv6Address: "" },
    ]);
  });

  test("those of others are out of reach, by name and by address", async () => {
    await ok("network", "create", back);
    await start(back, "other");
    await start("bridge", "plain");
    const db = await addressOf("db");
    for (const from of ["other", "plain"]) {
      expect(await reaches(from, "db")).toBe(false);
      expect({ from, reaches: await reaches(from, db) }).toEqual({ from, reaches: false });
    }
    expect(await reaches("db", await addressOf("other"))).toBe(false);
    expect(await reaches("db", await addressOf("plain"))).toBe(false);
    // Each one's own host name leads to itself, on every network.
    expect(await ok("exec", "plain", "hostname", "-i")).toBe(await addressOf("plain"));
  });

  test("a container is put on another one, and taken from one, while it runs and while it doesn't", async () => {
    const networksOf = async (container: string): Promise<string[]> =>
      Object.keys(JSON.parse(await ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", container))).sort();
    const refused = async (...args: string[]): Promise<string> => (await hull("network", ...args)).stderr;
    await start(front, "both");
    expect(await reaches("both", "other")).toBe(false);
    await ok("network", "connect", "--alias", "two", back, "both");
    for (const [from, to] of [
      ["both", "other"],
      ["other", "both"],
      ["other", "two"],
      ["both", "db"],
      ["db", "both"],
    ] as const)
      expect({ from, to, reaches: await reaches(from, to) }).toEqual({ from, to, reaches: true });
    expect(await reaches("db", "two")).toBe(false);
    expect(await networksOf("both")).toEqual([back, front].sort());
    expect(await ok("ps", "--filter", `network=${back}`, "--format", "{{.Names}} {{.Networks}}")).toContain(
      `both ${front},${back}`,
    );
    expect(await refused("connect", back, "both")).toContain(
      `endpoint with name both already exists in network ${back}`,
    );

    // It is on both in its next life, whoever is renamed meanwhile.
    await ok("rename", "both", "twice");
    expect(await reaches("other", "twice")).toBe(true);
    await ok("restart", "-t", "0", "twice");
    for (const to of ["db", "other"]) expect(await reaches("twice", to)).toBe(true);
    expect(await reaches("other", "two")).toBe(true);

    await ok("network", "disconnect", front, "twice");
    expect(await networksOf("twice")).toEqual([back]);
    expect([await reaches("twice", "db"), await reaches("db", "twice")]).toEqual([false, false]);
    expect(await reaches("twice", "other")).toBe(true);
    expect(await ok("exec", "twice", "cat", "/etc/hosts")).not.toContain(front);
    expect(await ok("exec", "twice", "ip", "route")).toMatch(/^default via .* dev eth1/m);
    expect(await refused("disconnect", front, "twice")).toContain(`is not connected to network ${front}`);
    await ok("restart", "-t", "0", "twice");
    expect(await networksOf("twice")).toEqual([back]);
    expect(await reaches("other", "twice")).toBe(true);

    // One that was made without a network has no files of names to write into while it runs.
    await ok("run", "-d", "--name", "alone", "busybox", "sleep", "1000");
    expect(await refused("connect", back, "alone")).toContain("stop it, connect it, and start it again");
    await ok("stop", "-t", "0", "alone");
    await ok("network", "connect", back, "alone");
    await ok("start", "alone");
    expect([await reaches("alone", "other"), await reaches("other", "alone")]).toEqual([true, true]);
    await ok("stop", "-t", "0", "alone");
    await ok("network", "disconnect", back, "alone");
    await ok("start", "alone");
    expect(await networksOf("alone")).toEqual([]);

    // Published ports go to the network that can publish them.
    await start(front, "shown", "-p", "80");
    await ok("network", "disconnect", front, "shown");
    expect(await ok("port", "shown")).toBe("");
    await ok("network", "connect", back, "shown");
    expect(await ok("port", "shown")).toMatch(/^80\/tcp -> /);

    expect(await refused("connect", "host", "shown")).toContain("hull run --network host");
    expect(await refused("connect", "nowhere", "shown")).toContain("no such network");
    expect(await refused("connect", "--ip", "10.1.1.1", back, "shown")).toContain('"--ip" is not supported');
    await ok("rm", "-f", "twice", "alone", "shown");
  }, 300_000);

  test("an internal one has no way out", async () => {
    await ok("network", "create", "--internal", "--ipv6", closed);
    await start(closed, "hermit");
    expect(await ok("exec", "hermit", "ip", "route")).not.toContain("default");
    expect(await ok("exec", "hermit", "ip", "-6", "addr", "show", "eth0")).toContain("inet6 fd");
    expect((await hull("run", "--rm", "--network", closed, "-p", "80", "busybox")).status).not.toBe(0);
  });

  test("it is removed when nobody runs on it, with its bridge and addresses", async () => {
    const refused = await hull("network", "rm", front);
    expect(refused).toMatchObject({
      status: 1,
      stderr: `hull: network "${front}" has containers that run (db): stop them first\n`,
    });
    await ok("rm", "-f", "db", "shop", "other");
    const bridges = async (): Promise<string> => (await inside("ip", "-o", "link", "show", "type", "bridge")).stdout;
    const before = await bridges();
    expect(await ok("network", "rm", front)).toBe(front);
    expect(before.split("\n").length - (await bridges()).split("\n").length).toBe(1);
    expect(existsSync(`/var/lib/cni/networks/${front}`)).toBe(false);
    expect(await ok("network", "prune", "-f")).toContain(back);
    expect(await ok("network", "ls", "-q")).toBe(["bridge", closed, "host", "none"].sort().join("\n"));
    await ok("rm", "-f", "hermit", "plain");
    await ok("network", "rm", closed);
    expect(readdirSync(`${cli.folder}/cni`)).toEqual([]);
  });

  test("what can't be is said before anything is made", async () => {
    const fails = async (text: string, ...args: string[]): Promise<void> => {
      const { status, stderr } = await hull(...args);
      expect({ args, status, stderr }).toEqual({ args, status: 1, stderr: expect.stringContaining(text) });
    };
    await fails("exists already", "network", "create", "bridge");
    await fails("can't be a network's name", "network", "create", "a/b");
    await fails("its first address is 10.1.2.0", "network", "create", "--subnet", "10.1.2.3/24", "n");
    await fails("is in no subnet", "network", "create", "--subnet", "10.1.2.0/24", "--gateway", "10.1.3.1", "n");
    await fails('driver "macvlan" is not known', "network", "create", "-d", "macvlan", "n");
    await fails('option "x" is not known', "network", "create", "-o", "x=1", "n");
    await fails("always there", "network", "rm", "bridge");
    await fails("no such network", "network", "rm", "nowhere");
    expect(await ok("network", "rm", "-f", "nowhere")).toBe("");
  });
});
