/** Checkpoint and restore by the real CRIU, where it works: what a process had in memory goes on from there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { image } from "../support/busybox.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

/** Why CRIU can't be had here, in its own words. */
function noCriu(): string | undefined {
  const { error, status, stderr } = spawnSync("criu", ["check"], { encoding: "utf8" });
  if (error !== undefined) return "criu is not installed";
  return status === 0 ? undefined : `criu check: ${stderr.trim().split("\n").at(-1)}`;
}

const lacking = noContainerd ?? noCriu();
const suite = lacking === undefined ? describe : describe.skip;

suite(`CRIU${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let folder: Scratch;
  let daemon: Daemon;
  beforeAll(async () => {
    folder = scratch();
    daemon = await startHull(folder.path);
    writeBusyboxImage(folder.join("busybox.tar"), image);
    await ctr("images", "import", folder.join("busybox.tar"));
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function ctr(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await runProgram([
      "ctr",
      "--address",
      daemon.address,
      "--timeout",
      "300s",
      ...args,
    ]);
    if (status !== 0) throw new Error(`ctr ${args.join(" ")}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  test("a counter goes on counting in a container made of the checkpoint", async () => {
    // The mark is in the shell's memory alone: a process that began anew would have another.
    const counting =
      "m=$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$((i+1)); echo $m $i > /n; sleep 0.1; done";
    // CRIU knows nothing of FIFOs outside of the container.
    await ctr("run", "-d", "--null-io", "--runc-binary", "runc", image, "counts", "sh", "-c", counting);
    let execs = 0;
    const state = async (id: string): Promise<{ mark: string; count: number }> => {
      const text = await ctr("tasks", "exec", "--exec-id", `e${execs++}`, id, "cat", "/n");
      const [mark = "", count = ""] = text.trim().split(" ");
      return { mark, count: Number(count) };
    };
    /** Waits until it has counted beyond a number. */
    const beyond = async (id: string, number: number) => {
      for (;;) {
        const now = await state(id);
        if (now.count > number) return now;
      }
    };
    const { mark, count } = await beyond("counts", 5);
    await ctr("containers", "checkpoint", "--image", "--rw", "--task", "counts", "example.com/checkpoint:1");
    await ctr("tasks", "rm", "-f", "counts").catch(() => {});
    await ctr("containers", "rm", "counts");
    await ctr("containers", "restore", "--live", "again", "example.com/checkpoint:1");
    const restored = await beyond("again", count);
    expect(restored.mark).toBe(mark);
    expect((await beyond("again", restored.count)).mark).toBe(mark);
    await ctr("tasks", "rm", "-f", "again").catch(() => {});
    await ctr("containers", "rm", "again");
  }, 600_000);
});
