/** `hull run` with devices, limits and namespaces of the host, as seen from inside. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { runProgram } from "../support/process.ts";

const suite = noCli === undefined ? describe : describe.skip;

suite(`hull run and the host${noCli === undefined ? "" : ` (skipped: ${noCli})`}`, () => {
  let hull: Cli;
  beforeAll(async () => {
    hull = openCli();
    await hull.run("load", "-i", join(hull.folder, "busybox.tar"));
  });
  afterAll(() => hull[Symbol.asyncDispose]());

  const shell = (script: string, ...flags: string[]): Promise<string> =>
    hull.ok("run", "--rm", "--runtime", "runc", ...flags, "busybox", "sh", "-c", script);
  const refused = async (...flags: string[]): Promise<string> =>
    (await hull.run("run", "--rm", ...flags, "busybox", "true")).stderr;

  test("devices by path, under another name, with fewer rights", async () => {
    expect(
      await shell(
        "ls /dev/fuse; echo x > /dev/other && echo written",
        "--device",
        "/dev/fuse",
        "--device",
        "/dev/null:/dev/other:rw",
      ),
    ).toBe("/dev/fuse\nwritten");
    expect(await refused("--device", "relative")).toContain('device "relative" must be of the form');
  });

  test("CDI devices: nodes, mounts, environment, groups", async () => {
    const cdi = join(hull.folder, "cdi");
    mkdirSync(cdi);
    const edits = {
      env: ["FROM_CDI=yes"],
      additionalGids: [77],
      deviceNodes: [{ path: "/dev/vendor0", hostPath: "/dev/zero" }],
      mounts: [{ hostPath: cdi, containerPath: "/mnt/cdi", options: ["rbind", "ro"] }],
    };
    const devices = [{ name: "0", containerEdits: edits }];
    writeFileSync(join(cdi, "v.json"), JSON.stringify({ cdiVersion: "0.7.0", kind: "vendor.test/thing", devices }));
    const run = (name: string) =>
      runProgram(
        [
          ...hull.command,
          "run",
          "--rm",
          "--device",
          name,
          "busybox",
          "sh",
          "-c",
          "echo $FROM_CDI; id -G; head -c 3 /dev/vendor0 | wc -c; ls /mnt/cdi",
        ],
        { env: { HULL_CDI_DIRS: cdi } },
      );
    expect(await run("vendor.test/thing=0")).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^yes\n.*\b77\n3\nv.json\n$/),
    });
    expect((await run("vendor.test/thing=1")).stderr).toContain("unresolvable CDI devices vendor.test/thing=1");
    expect(await refused("--gpus", "all")).toContain("no GPUs are described in /etc/cdi");
  });

  test("limits of processes and control groups", async () => {
    expect(await shell("ulimit -n; ulimit -Hn", "--ulimit", "nofile=100:200")).toBe("100\n200");
    expect(await refused("--ulimit", "nothing=1")).toContain('ulimit "nothing=1" must be of the form');
    expect(await refused("--ulimit", "nofile=5:4")).toContain("the soft limit is above the hard one");
    const cpu = "cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || echo 512";
    expect(await shell(cpu, "--cpu-shares", "512")).toBe("512");
    expect(await shell("cat /proc/self/oom_score_adj", "--oom-score-adj", "300")).toBe("300");
    expect(
      await shell(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=7",
      ),
    ).toBe("7");
  });

  test("groups, shared memory, namespaces of the host", async () => {
    expect(await shell("id -G", "--group-add", "4321", "--user", "1000:1000")).toContain("4321");
    expect(await refused("--group-add", "nobody-here")).toContain('group "nobody-here" is not in the image');
    expect(await shell("df -k /dev/shm | tail -1 | awk '{print $2}'", "--shm-size", "8m")).toBe("8192");
    expect(await shell("hostname", "--uts", "host")).toBe(hostname());
    expect(Number(await shell("ls -d /proc/[0-9]* | wc -l", "--pid", "host"))).toBeGreaterThan(2);
    expect(await refused("--pid", "container:x")).toContain('--pid "container:x" must be host');
  });

  test("a volume that can't be written, mounts below it neither", async () => {
    const options = (await shell("grep ' /v ' /proc/mounts | cut -d' ' -f4", "-v", `${hull.folder}:/v:rro`)).split(",");
    expect(options).toContain("ro");
  });
});
