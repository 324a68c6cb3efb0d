/** Debian's shim of runc and a daemon that is killed: tasks go on, the next daemon finds them and ends them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { placeIn, processesOf, startDaemon } from "../daemon/fixture.ts";
import { image } from "../support/busybox.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { endOf, type Outcome, runProgram, type Server } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const shim = "/usr/bin/containerd-shim-runc-v2";
const missing = process.getuid?.() !== 0 ? "needs root" : existsSync(shim) ? undefined : "needs Debian's containerd";
const suite = missing === undefined ? describe : describe.skip;

suite(`a restart of the daemon with ${shim}${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  const namespace = `shims-${process.pid}`;
  let folder: Scratch;
  let daemon: Server;
  const place = () => placeIn(folder.path);
  const ctr = (...args: string[]): Promise<Outcome> =>
    runProgram(["ctr", "-a", place().address, "-n", namespace, ...args], { timeoutMs: 20_000 });
  const ok = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await ctr(...args);
    if (status !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const shims = async (): Promise<number> =>
    [...(await processesOf(folder.path)).values()].filter((line) => line.includes(shim)).length;

  beforeAll(async () => {
    folder = scratch();
    daemon = await startDaemon(place());
    writeBusyboxImage(folder.join("busybox.tar"), image);
    await ok("images", "import", folder.join("busybox.tar"));
  });
  afterAll(async () => {
    for (const id of ["goes-on", "ends", "killed"]) await ctr("tasks", "rm", "-f", id);
    await daemon.stop();
    folder[Symbol.dispose]();
    removeLeftovers(namespace);
  });

  test("tasks go on; what happened meanwhile is known afterwards; no shim is left", async () => {
    for (const id of ["goes-on", "killed"])
      await ok("run", "-d", "--null-io", "--runtime", shim, image, id, "sleep", "600");
    await ok("run", "-d", "--null-io", "--runtime", shim, image, "ends", "sh", "-c", "sleep 0.5; exit 7");
    const ends = Number(/^ends +(\d+)/m.exec(await ok("tasks", "ls"))?.[1]);
    await daemon.stop("SIGKILL");
    await endOf(ends);
    const pidOfShim = [...(await processesOf(folder.path))].find(([, line]) => line.includes("-id killed"))?.[0];
    process.kill(pidOfShim ?? 0, "SIGKILL");
    daemon = await startDaemon(place());
    const tasks = await ok("tasks", "ls");
    expect(tasks).toMatch(/goes-on +\d+ +RUNNING/);
    expect(tasks).toMatch(/ends +\d+ +STOPPED/);
    expect(tasks).not.toContain("killed");
    expect(await ok("tasks", "exec", "--exec-id", "x", "goes-on", "echo", "here")).toBe("here\n");
    expect((await ctr("tasks", "attach", "ends")).status).toBe(7);
    await ok("tasks", "rm", "-f", "goes-on");
    for (const id of ["goes-on", "ends", "killed"]) await ok("containers", "rm", id);
    for (let i = 0; i < 1000 && (await shims()) > 0; i++) await Bun.sleep(20);
    expect(await shims()).toBe(0);
  });
});
