/** The real `ctr run` on hull beside the real containerd. */
import { expect } from "bun:test";
import { image, importBusybox } from "../support/busybox.ts";
import { compared } from "../support/compare.ts";

compared("ctr run, beside the real containerd", importBusybox, ({ test }) => {
  const shell = (id: string, script: string, ...flags: string[]): string[] => [
    ...["run", "--rm", ...flags, image, id],
    ...["sh", "-c", script],
  ];

  test("output and exit status", async ({ same }) => {
    await same(["run", "--rm", image, "r1", "echo", "hello"]);
    await same(shell("r2", "echo out; echo err >&2; exit 7"));
    await same(shell("r3", "kill -9 $$"));
    // Of an input that ends before the task is made ctr never tells the end.
    await same(shell("r4", "echo ready; cat"), { typed: { when: /ready/, type: "through stdin\n" } });
    await same(shell("r5", "echo ready; wc -c"), { typed: { when: /ready/, type: "x".repeat(1_000_000) } });
    await same(shell("r6", "seq 1 100000"));
    await same(["run", "--rm", "--null-io", image, "r7", "echo", "unseen"]);
  });

  test("what a container sees: names, mounts, devices, environment, limits, capabilities", async ({ same }) => {
    const mounts = "cat /proc/mounts | cut -d' ' -f2-4 | grep -v overlay | sort";
    await same(shell("s1", `hostname; id; pwd; env | sort; ${mounts}`));
    await same(shell("s2", "ls -l /dev | awk '{print $1, $3, $4, $5, $6, $NF}'; ls /proc/self/fd | wc -l"));
    await same(shell("s3", "cat /proc/self/limits; grep -E 'Cap|NoNew|Seccomp|Groups' /proc/self/status"));
    await same(
      shell("s4", "cat /proc/self/oom_score_adj; echo /proc/[0-9]*; umask; stat -c '%a %u %g' / /tmp /dev /proc"),
    );
    await same(shell("s5", "cat /proc/self/cgroup | cut -d: -f2- | sed 's/[0-9]*$//'"));
  });

  test("flags", async ({ folder, same }) => {
    await same(shell("f1", "echo $A; pwd", "--env", "A=b c", "--cwd", "/tmp"));
    await same(["run", "--rm", "--user", "1000:50", image, "f2", "id"]);
    await same(["run", "--rm", "--user", "guest", image, "f3", "id"]);
    await same(["run", "--rm", "--read-only", image, "f4", "touch", "/file"]);
    const limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    await same(shell("f5", limit, "--memory-limit", "67108864"));
    await same(shell("f6", "grep CapEff /proc/self/status; ls /dev | wc -l", "--privileged"));
    await same(shell("f7", "ls /sys/class/net; hostname", "--net-host"), { sorted: true });
    await same(
      shell("f8", "ls -d /mnt/busybox.tar", "--mount", `type=bind,src=${folder.path},dst=/mnt,options=rbind:ro`),
    );
    await same(
      shell("f9", "grep /mnt /proc/mounts", "--mount", "type=tmpfs,src=tmpfs,dst=/mnt,options=size=64k:nosuid"),
    );
    const two = [
      "--mount",
      "type=tmpfs,src=t,dst=/a",
      "--mount",
      `type=bind,src=${folder.path},dst=/a/b,options=bind:rw`,
    ];
    await same(shell("f10", "grep ' /a' /proc/mounts | cut -d' ' -f2; ls /a/b/busybox.tar", ...two));
    await same(["run", "--rm", "--runc-binary", "/usr/sbin/runc", image, "f11", "true"]);
    await same(shell("f12", "cat /proc/self/status | grep NoNewPrivs", "--allow-new-privs"));
    await same(shell("f14", "cat $0 2>&1; echo $X", "--env", "X", "--label", "a=b"));
    await same(shell("f15", "id -G; cat /proc/self/oom_score_adj", "--oom-score-adj", "100"));
    await same(["run", "--rm", "--cpus", "0.5", image, "f16", "cat", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"]);
    await same(["run", "--rm", "--pid-file", "FOLDER/pid", image, "f17", "true"]);
    await same(["run", "--rm", "--rootfs", "/nonexistent", "f18", "true"]);
    await same(["run", "--rm", "--seccomp", image, "f19", "grep", "Seccomp:", "/proc/self/status"]);
    await same(["run", "--rm", "--cap-drop", "CAP_CHOWN", image, "f20", "grep", "CapEff", "/proc/self/status"]);
    await same(["run", "--rm", "--device", "/dev/fuse", image, "f21", "ls", "/dev/fuse"]);
  });

  test("-d leaves it running; attach, kill and rm end it", async (pair) => {
    const { same } = pair;
    await same(["run", "-d", image, "d1", "sleep", "600"]);
    await same(["run", "-d", image, "d1", "sleep", "600"]);
    await same(["tasks", "ls"], { mask: /\b\d{3,}\b/g });
    await same(["tasks", "rm", "d1"]);
    await same(["containers", "rm", "d1"]);
    await same(["tasks", "rm", "-f", "d1"]);
    await same(["containers", "rm", "d1"]);
    await same(["run", "-d", "--rm", image, "d2", "sleep", "600"]);
    await same(["run", "-d", "--null-io", image, "d3", "sh", "-c", "exit 4"]);
    await pair.each(async (side) => void (await side.ctr(["tasks", "attach", "d3"])));
    await same(["tasks", "ls"], { mask: /\b\d{3,}\b/g });
    await same(["tasks", "rm", "d3"]);
    await same(["containers", "rm", "d3"]);
    await same(["run", "-d", "--log-uri", "file://FOLDER/log", image, "d4", "echo", "logged"]);
    await pair.each(async (side) => void (await side.ctr(["tasks", "attach", "d4"])));
    await same(["tasks", "rm", "d4"]);
    await same(["containers", "rm", "d4"]);
  });

  test("what is wrong is said, and nothing stays", async ({ same }) => {
    await same(["run", "--rm", image, "e1", "no-such-binary"]);
    await same(["run", "--rm", image, "e2", "/etc"]);
    await same(["run", "--rm", image, "e3", "/etc/passwd"]);
    await same(["run", "--rm", "example.com/none:1", "e4", "true"]);
    await same(["run", "--rm", image, "bad--id", "true"]);
    await same(["run", "--rm", "--cwd", "relative", image, "e7", "pwd"]);
    await same(["run", "--rm", "--user", "nobody-of-that-name", image, "e8", "id"]);
    await same(["run", "--rm", "--mount", "type=bind,src=/nonexistent,dst=/mnt,options=bind", image, "e9", "true"]);
    // runc writes its reason to its standard error as well, which on hull is the container's own, with nothing in between.
    const reason = /^runc create failed.*\n|\(current usage.*?\)/gm;
    await same(["run", "--rm", "--mount", "type=nonsense,src=x,dst=/mnt", image, "e10", "true"], { mask: reason });
    await same(["run", "--rm", "--snapshotter", "none", image, "e11", "true"]);
    await same(["run", "--rm", "--memory-limit", "1000", image, "e12", "true"], { mask: reason });
    await same(["run", "--rm"]);
    await same(["containers", "ls"]);
    await same(["tasks", "ls"]);
    // The snapshot of a container that could not be recorded goes with the next collection: have one now.
    await same(["leases", "create", "--id", "collect"]);
    await same(["leases", "rm", "--sync", "collect"]);
    await same(["snapshots", "ls"], { sorted: true });
  });

  test("what hull says in its own words", async ({ sides: [, hull] }) => {
    const texts = {
      "--runtime io.containerd.none.v9":
        'its shim "containerd-shim-none-v9" is not in $PATH: install it, or name its path',
      "--runtime nonsense":
        'invalid runtime name "nonsense": give one like "io.containerd.runc.v2", or an absolute path',
      "--runc-binary /nonexistent/runc":
        'OCI runtime "/nonexistent/runc" can\'t be run: install it, or name another one',
    };
    for (const [flags, text] of Object.entries(texts)) {
      const { status, stderr } = await hull.ctr(["run", "--rm", ...flags.split(" "), image, "w1", "true"]);
      expect(status).toBe(1);
      expect(stderr).toContain(text);
    }
    expect((await hull.ctr(["snapshots", "info", "w1"])).status).toBe(1);
  });

  test("two clients at once, and many", async ({ sides }) => {
    for (const side of sides) {
      const runs = Array.from({ length: 8 }, (_, i) =>
        side.ctr(["run", "--rm", image, `m${i}`, "sh", "-c", `echo ${i}; exit ${i}`]),
      );
      for (const [i, outcome] of (await Promise.all(runs)).entries()) {
        expect(outcome).toEqual({ status: i, stdout: `${i}\n`, stderr: "" });
      }
    }
  });
});
