/**
 * What programs that nobody trusts try, and what becomes of it: each fails by throwing. They run under Bun and under Node, on a daemon of
 * hull's, on the real containerd and on an engine in the program itself.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type Hull, isCode, type SandboxOptions, type SandboxResult } from "@hull/client";
import { syscallProbe } from "./probe.ts";

export interface Case {
  readonly name: string;
  /** What the host has to have. */
  readonly needs?: "user namespaces" | "gVisor" | "network";
  run(hull: Hull): Promise<void>;
}

const mebibyte = 1 << 20;
/** Every program that doesn't end gets this; the machine may be busy. */
const timeMs = 1500;

const sh = (hull: Hull, script: string, options: Omit<SandboxOptions, "command"> = {}): Promise<SandboxResult> =>
  hull.sandbox("busybox", { command: ["sh", "-c", script], timeMs: 20_000, ...options });

/** What a script that tries something says: each line `name: no` if it failed. */
async function tries(hull: Hull, attempts: Readonly<Record<string, string>>, options = {}): Promise<void> {
  const script = Object.entries(attempts)
    .map(([name, command]) => `if (${command}) >/dev/null 2>&1; then echo "${name}: yes"; else echo "${name}: no"; fi`)
    .join("\n");
  const { stdout, outcome } = await sh(hull, script, options);
  assert.deepEqual(
    [outcome, stdout.trimEnd().split("\n")],
    ["exited", Object.keys(attempts).map((name) => `${name}: no`)],
  );
}

export const cases: readonly Case[] = [
  {
    name: "gives what a program says, how it ended and what it took",
    async run(hull) {
      const result = await sh(hull, "cat; echo err >&2; exit 3", { stdin: "in\n" });
      const { outcome, code, stdout, stderr, truncated, usage } = result;
      assert.deepEqual(
        { outcome, code, stdout, stderr, truncated },
        { outcome: "exited", code: 3, stdout: "in\n", stderr: "err\n", truncated: false },
      );
      assert.ok(usage.wallMs > 0 && usage.memoryPeak > 0 && usage.memoryPeak < 128 * mebibyte, JSON.stringify(usage));
    },
  },
  {
    name: "gives files to it, and takes files out",
    async run(hull) {
      const { files, stdout } = await sh(
        hull,
        "sh src/run.sh; ln -s /etc/passwd link; mkfifo fifo; truncate -s 1T holes; ls -l src/run.sh",
        {
          files: { "src/run.sh": { content: "echo made >out; echo $HOME", mode: 0o755 } },
          take: ["out", "link", "fifo", "holes", "nothing"],
        },
      );
      assert.match(stdout, /^\/work\n-rwxr-xr-x /);
      assert.deepEqual([...files.keys()], ["out"]);
      assert.equal(new TextDecoder().decode(files.get("out")), "made\n");
    },
  },
  {
    name: "tells output as it comes",
    async run(hull) {
      const seen: string[] = [];
      await sh(hull, "echo one; sleep 0.3; echo two >&2", {
        onOutput: (chunk, stream) => seen.push(`${stream}: ${new TextDecoder().decode(chunk)}`),
      });
      assert.deepEqual(seen, ["stdout: one\n", "stderr: two\n"]);
    },
  },
  {
    name: "ends what sleeps for ever, and takes no signals",
    async run(hull) {
      const { outcome, code, usage } = await sh(hull, "trap '' TERM INT HUP; while :; do sleep 100; done", { timeMs });
      assert.deepEqual([outcome, code], ["timeout", 137]);
      assert.ok(usage.wallMs >= timeMs && usage.wallMs < timeMs + 5000, `${usage.wallMs} ms`);
    },
  },
  {
    name: "ends what forks for ever",
    async run(hull) {
      // A shell ends that can't fork: the first one does only what never fails.
      const { outcome, stderr, usage } = await sh(hull, "f() { f | f & }; f & while :; do :; done", {
        timeMs,
        pids: 32,
      });
      assert.ok(outcome === "timeout" || outcome === "memory", outcome);
      assert.match(stderr, /can't fork/);
      assert.ok(usage.wallMs < timeMs + 5000, `${usage.wallMs} ms`);
    },
  },
  {
    name: "ends what computes for ever, which has had no more than its share",
    async run(hull) {
      const { outcome, usage } = await sh(hull, "while :; do :; done & while :; do :; done", { timeMs, cpus: 0.5 });
      assert.equal(outcome, "timeout");
      assert.ok(usage.cpuMs > 0 && usage.cpuMs < usage.wallMs * 0.75, JSON.stringify(usage));
    },
  },
  {
    name: "ends what takes too much memory",
    async run(hull) {
      const { outcome, usage } = await sh(hull, "x=a; while :; do x=$x$x; done", { memory: 32 * mebibyte });
      assert.equal(outcome, "memory");
      assert.ok(usage.memoryPeak <= 33 * mebibyte, `${usage.memoryPeak} bytes`);
    },
  },
  {
    name: "holds what fills its files, in bytes and in their number",
    async run(hull) {
      const options = { disk: 4 * mebibyte };
      const filled = await sh(hull, "cat /dev/zero >/tmp/a; cat /dev/zero >/work/b", options);
      assert.deepEqual([filled.outcome, filled.usage.diskBytes], ["disk", 4 * mebibyte]);
      const many = await sh(hull, "i=0; while echo >/tmp/$i; do i=$((i+1)); done 2>/dev/null; exit 1", options);
      assert.equal(many.outcome, "disk");
      const shared = await sh(hull, "cat /dev/zero >/dev/shm/a", options);
      assert.notEqual(shared.code, 0);
      assert.ok(shared.usage.memoryPeak < 16 * mebibyte, `${shared.usage.memoryPeak} bytes`);
    },
  },
  {
    name: "ends what prints for ever, at the limit",
    async run(hull) {
      const { outcome, stdout, stderr, truncated } = await sh(hull, "yes & yes >&2", { output: 100_000 });
      assert.deepEqual([outcome, stdout.length + stderr.length, truncated], ["output", 100_000, true]);
    },
  },
  {
    name: "lets nothing be written but its files",
    run: (hull) =>
      tries(hull, {
        root: "echo >/x",
        etc: "echo >/etc/x",
        run: "mkdir -p /run/x",
        dev: "echo >/dev/x",
        "proc/sys": "echo 1 >/proc/sys/kernel/panic",
        "core pattern": "echo '|/work/x' >/proc/sys/kernel/core_pattern",
        sysrq: "echo b >/proc/sysrq-trigger",
        sys: "echo 1 >/sys/kernel/mm/ksm/run",
        "oom score": "echo -1000 >/proc/self/oom_score_adj",
      }),
  },
  {
    name: "lets nothing be mounted, no device be made, and no namespace",
    run: (hull) =>
      tries(hull, {
        mount: "mount -t tmpfs none /tmp",
        bind: "mount -o bind / /tmp",
        remount: "mount -o remount,rw /",
        umount: "umount /work",
        mknod: "mknod /tmp/disk b 8 0",
        kmsg: "head -c 1 /dev/kmsg",
        memory: "head -c 1 /dev/mem",
        chroot: "chroot / true",
        unshare: "unshare -U true",
        "unshare mounts": "unshare -m true",
        hostname: "hostname x",
        nice: "nice -n -5 true",
        chown: "chown 0 /work",
        "set-user-ID": "cp /bin/busybox /tmp/su && chmod 4755 /tmp/su && /tmp/su mount -t tmpfs none /tmp",
      }),
  },
  {
    name: "is refused the calls that look into processes, or far into the kernel",
    async run(hull) {
      // Numbers are amd64's: arch/x86/entry/syscalls/syscall_64.tbl of Linux.
      const calls = {
        ...{ ptrace: 101, process_vm_readv: 310, process_vm_writev: 311, kcmp: 312, pidfd_getfd: 438 },
        ...{ bpf: 321, perf_event_open: 298, userfaultfd: 323, io_uring_setup: 425, add_key: 248, keyctl: 250 },
        ...{ open_by_handle_at: 304, mount: 165, setns: 308, unshare: 272, kexec_load: 246, init_module: 175 },
      };
      if (process.arch !== "x64") return;
      const content = syscallProbe(Object.values(calls));
      const { stdout, outcome, code } = await sh(hull, "./probe", { files: { probe: { content, mode: 0o755 } } });
      assert.deepEqual([outcome, code], ["exited", 0]);
      const errors = Object.keys(calls).map((name, at) => [name, stdout.charCodeAt(at)]);
      const EPERM = 1;
      assert.deepEqual(
        errors.filter(([, error]) => error !== EPERM),
        [],
      );
    },
  },
  {
    name: "sees nobody's processes, and has no capability",
    async run(hull) {
      const { stdout } = await sh(
        hull,
        "ls /proc | grep -c '^[0-9]'; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status",
      );
      const [processes, ...status] = stdout.trimEnd().split("\n");
      assert.ok(Number(processes) <= 4, stdout);
      assert.deepEqual(
        status.map((line) => line.split(/\s+/)[1]),
        [...Array(5).fill("0000000000000000"), "1", "2"],
      );
    },
  },
  {
    name: "has no network",
    async run(hull) {
      await using server = await echoServer("127.0.0.1");
      const { stdout } = await sh(hull, "tail -n +3 /proc/net/dev | cut -d: -f1");
      assert.equal(stdout.trim(), "lo");
      await tries(hull, {
        host: `nc -w 1 127.0.0.1 ${server.port} </dev/null`,
        outside: "nc -w 1 1.1.1.1 53 </dev/null",
        raw: "ping -c 1 -W 1 127.0.0.1",
      });
    },
  },
  {
    name: "reaches the addresses that it is allowed, and nothing else",
    needs: "network",
    async run(hull) {
      // The bridge's own address leads to this host, once there is a bridge.
      const allow = (port: number) => ({ network: { allow: [{ address: "10.88.64.1", port }] } });
      await sh(hull, "true", allow(1));
      await using server = await echoServer("10.88.64.1");
      await using other = await echoServer("10.88.64.1");
      const script = `for p in ${server.port} ${other.port}; do nc -w 2 10.88.64.1 $p </dev/null || echo no; done`;
      const { stdout } = await sh(hull, script, allow(server.port));
      assert.equal(stdout, "hello\nno\n");
      await assert.rejects(sh(hull, "true", { network: { allow: [{ address: "1.1.1.1; flush ruleset", port: 1 }] } }), {
        code: "invalidArgument",
      });
    },
  },
  {
    name: "is nobody on the host, by a user namespace",
    needs: "user namespaces",
    async run(hull) {
      const { confinement, stdout } = await sh(hull, "id -u; cat /proc/self/uid_map", {
        user: "0",
        userNamespace: "required",
      });
      assert.ok(confinement.userNamespace && confinement.hostUid >= 0x7000_0000);
      assert.match(stdout, new RegExp(`^0\\n\\s+0\\s+${confinement.hostUid}\\s+65536\\n$`));
    },
  },
  {
    name: "is nobody on the host, by its ids",
    async run(hull) {
      const { confinement, stdout } = await sh(hull, "id -u; id -g; echo x >y; ls -n y | cut -c1-10", {
        userNamespace: "off",
      });
      assert.deepEqual([confinement.userNamespace, confinement.hostUid], [false, 65534]);
      assert.equal(stdout, "65534\n65534\n-rw-r--r--\n");
      await assert.rejects(sh(hull, "id", { userNamespace: "off", user: "0" }), { code: "invalidArgument" });
    },
  },
  {
    name: "runs on gVisor's kernel",
    needs: "gVisor",
    async run(hull) {
      const { stdout, confinement, files } = await sh(hull, "dmesg | head -1; cat in >out", {
        isolation: "gvisor",
        pids: 8,
        files: { in: "through" },
        take: ["out"],
      });
      assert.match(stdout, /Starting gVisor/);
      assert.equal(confinement.isolation, "gvisor");
      assert.equal(new TextDecoder().decode(files.get("out")), "through");
      const filled = await sh(hull, "x=a; while :; do x=$x$x; done", { isolation: "gvisor", memory: 64 * mebibyte });
      assert.equal(filled.outcome, "memory");
      const slept = await sh(hull, "trap '' TERM; sleep 100", { isolation: "gvisor", timeMs });
      assert.equal(slept.outcome, "timeout");
    },
  },
  {
    name: "ends with its caller's signal",
    async run(hull) {
      const controller = new AbortController();
      const running = sh(hull, "echo up; sleep 100", {
        signal: controller.signal,
        onOutput: () => controller.abort(),
      });
      await assert.rejects(running, { code: "canceled" });
    },
  },
  {
    name: "says what is wrong with options",
    async run(hull) {
      const wrong: readonly (readonly [Partial<SandboxOptions>, RegExp])[] = [
        [{ memory: 1000 }, /"memory" must be a whole number, 16777216 or more, not 1000/],
        [{ disk: 2 ** 40 }, /"disk" .* must be below "memory"/],
        [{ timeMs: 0 }, /"timeMs"/],
        [{ cpus: 0 }, /"cpus"/],
        [{ user: "root" }, /user "root" of a sandbox/],
        [{ files: { "../x": "" } }, /path "..\/x" must be one below \/work/],
        [{ take: ["/etc/passwd"] }, /path "\/etc\/passwd" must be one below \/work/],
        [{ files: { big: new Uint8Array(mebibyte) }, disk: 100_000 }, /file "big" doesn't fit/],
      ];
      for (const [options, message] of wrong) await assert.rejects(sh(hull, "true", options), message);
      const missing = await sh(hull, "true", {}).then(() =>
        hull.sandbox("busybox", { command: ["/no/such/program"] }).catch((error: unknown) => error),
      );
      assert.ok(isCode(missing, "notFound") || isCode(missing, "unknown"), String(missing));
    },
  },
  {
    name: "keeps many apart",
    async run(hull) {
      const results = await Promise.all(
        [1, 2, 3, 4].map((number) => sh(hull, `echo ${number} >/tmp/x; sleep 0.2; cat /tmp/x; ls /tmp`)),
      );
      assert.deepEqual(
        results.map(({ stdout }) => stdout),
        ["1\nx\n", "2\nx\n", "3\nx\n", "4\nx\n"],
      );
    },
  },
];

/** Says hello to whoever comes, on a port of its own. */
async function echoServer(address: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.on("error", () => {}).end("hello\n"));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, address, resolve));
  const place = server.address();
  return {
    port: typeof place === "object" ? (place?.port ?? 0) : 0,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
