import { describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFifo } from "@hull/sys/files";
import { startByFifo } from "./exec-fifo.ts";
import { removeRuncRecord } from "./runtime-record.ts";

const never = Promise.withResolvers<void>().promise;

function temporary(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "hull-fifo-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A runtime's record of a container, with its FIFO. */
function record(directory: string, kind: "state.json" | "status" | "other"): string {
  writeFileSync(join(directory, kind), "{}");
  makeFifo(join(directory, "exec.fifo"), 0o600);
  return join(directory, "exec.fifo");
}

describe("starting by FIFO", () => {
  test("runc's container writes a byte, and the FIFO goes", async () => {
    using directory = temporary();
    const fifo = record(directory.path, "state.json");
    const container = Bun.spawn(["sh", "-c", 'printf 0 > "$0"', fifo]);
    expect(await startByFifo(directory.path, never)).toBe(true);
    expect(await container.exited).toBe(0);
    expect(existsSync(fifo)).toBe(false);
  });

  test("crun's container is given a byte, and the FIFO goes", async () => {
    using directory = temporary();
    const fifo = record(directory.path, "status");
    const container = Bun.spawn(["sh", "-c", 'exec 3<>"$0"; echo; head -c 1 <&3 | od -An -tu1', fifo], {
      stdout: "pipe",
    });
    const reader = container.stdout.getReader();
    await reader.read();
    expect(await startByFifo(directory.path, never)).toBe(true);
    expect(new TextDecoder().decode((await reader.read()).value).trim()).toBe("0");
    expect(existsSync(fifo)).toBe(false);
  });

  test("what is not as expected is left to the runtime's command", async () => {
    using nothing = temporary();
    expect(await startByFifo(nothing.path, never)).toBe(false);
    using ended = temporary();
    const fifo = record(ended.path, "state.json");
    expect(await startByFifo(ended.path, Promise.resolve())).toBe(false);
    expect(existsSync(fifo)).toBe(true);
    using unread = temporary();
    record(unread.path, "status");
    expect(await startByFifo(unread.path, never)).toBe(false);
    using unknown = temporary();
    record(unknown.path, "other");
    expect(await startByFifo(unknown.path, never)).toBe(false);
    using file = temporary();
    writeFileSync(join(file.path, "state.json"), "{}");
    writeFileSync(join(file.path, "exec.fifo"), "");
    expect(await startByFifo(file.path, never)).toBe(false);
  });
});

const noRunc =
  process.getuid?.() !== 0
    ? "needs root"
    : Bun.which("runc") === null
      ? "needs runc"
      : existsSync("/bin/busybox")
        ? undefined
        : "needs busybox-static";

test.skipIf(noRunc !== undefined)(
  `runc's own commands see a container as running, and as gone (${noRunc ?? "runs"})`,
  async () => {
    using directory = temporary();
    const bundle = join(directory.path, "bundle");
    const root = join(directory.path, "root");
    mkdirSync(join(bundle, "rootfs"), { recursive: true });
    copyFileSync("/bin/busybox", join(bundle, "rootfs", "sleep"));
    const runc = (...args: string[]) => Bun.spawnSync(["runc", "--root", root, ...args], { cwd: bundle });
    expect(runc("spec").exitCode).toBe(0);
    const spec = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
    spec.process = { ...spec.process, terminal: false, args: ["/sleep", "1000"] };
    writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
    const id = `fifo-${crypto.randomUUID().slice(0, 8)}`;
    const creation = Bun.spawn(["runc", "--root", root, "create", "--bundle", bundle, id], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    expect(await creation.exited).toBe(0);
    const state = () => JSON.parse(runc("state", id).stdout.toString() || "{}");
    const { pid } = state();
    const { cgroup_paths } = JSON.parse(readFileSync(join(root, id, "state.json"), "utf8"));
    try {
      expect(state().status).toBe("created");
      expect(await startByFifo(join(root, id), never)).toBe(true);
      expect(state().status).toBe("running");
      // The kernel closes the FIFO a little before the process has its new arguments.
      const commandLine = () => readFileSync(`/proc/${pid}/cmdline`, "latin1");
      while (commandLine().startsWith("runc")) await Bun.sleep(1);
      expect(commandLine()).toStartWith("/sleep");
      // As long as anything is in its groups, nothing is claimed to be gone.
      expect(removeRuncRecord(join(root, id))).toBe(false);
      expect(existsSync(join(root, id, "state.json"))).toBe(true);
    } finally {
      runc("kill", id, "KILL");
      // A test beside this one may have made this process the one that adopts it, and takes its time to reap.
      const ended = () => state().status === "stopped" && !existsSync(`/proc/${pid}`);
      while (!ended()) await Bun.sleep(5);
    }
    expect(removeRuncRecord(join(root, id))).toBe(true);
    expect(runc("state", id).stderr.toString()).toContain("does not exist");
    for (const path of Object.values<string>(cgroup_paths)) expect(existsSync(path)).toBe(false);
  },
);
