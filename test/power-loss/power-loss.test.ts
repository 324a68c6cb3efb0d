/**
 * The power goes while the daemon works: what it had answered for is there afterwards, and all that is there is whole.
 *
 *   HULL_ROUNDS=20 bun test test/power-loss     more rounds than the few of every run; HULL_SEED=N for others
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { mountInfo, unmount } from "@hull/sys/mount";
import { packLayout, tarOfFolder, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import { Random } from "../fuzz/mutate.ts";
import type { Daemon } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { ctrIn, processesBelow, storeState } from "../support/store-state.ts";
import { LossyDisk } from "./lossy-disk.ts";

setDefaultTimeout(600_000);

const skipped = whyNot();
const busybox = "docker.io/library/busybox:latest";
const rounds = Number(process.env.HULL_ROUNDS ?? 3);
const seed = Number(process.env.HULL_SEED ?? 20_260_101);

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync("/usr/bin/ctr")) return "needs Debian's containerd package";
  return existsSync("/dev/loop-control") ? undefined : "needs loop devices";
}

describe.skipIf(skipped !== undefined)(
  `a loss of power${skipped === undefined ? "" : ` (skipped: ${skipped})`}`,
  () => {
    let folder: Scratch;
    let disk: LossyDisk;
    let daemon: Daemon;
    let namespace: string;
    /** What the daemon has said is done, and what was asked to be undone: which may be there or not. */
    let promised: { images: Set<string>; containers: Set<string>; doubtful: Set<string> };

    beforeEach(async () => {
      folder = scratch();
      namespace = basename(folder.path);
      promised = { images: new Set(), containers: new Set(), doubtful: new Set() };
      disk = await LossyDisk.create(folder.join("disk"), folder.join("h", "root"), 768 << 20);
      writeBusyboxImage(folder.join("busybox.tar"), busybox);
      daemon = await boot();
    });
    afterEach(async () => {
      await daemon[Symbol.asyncDispose]();
      await endAll();
      await disk[Symbol.asyncDispose]();
      removeCgroup(cgroupAt(`/${namespace}`));
      folder[Symbol.dispose]();
    });

    /** Starts the daemon as after a start of the machine: the kernel's boot_id is another each time. */
    function boot(): Promise<Daemon> {
      const bootId = folder.join("boot-id");
      writeFileSync(bootId, `${crypto.randomUUID()}\n`);
      const mount = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
      return startHull(folder.join("h"), "", {
        behind: ["unshare", "--mount", "--propagation", "slave", "sh", "-c", mount, bootId],
      });
    }
    const ctr = (...args: string[]): Promise<Outcome> => ctrIn(daemon, namespace, ...args);
    const done = async (...args: string[]): Promise<boolean> => {
      const command = ["ctr", "--address", daemon.address, "--namespace", namespace, ...args];
      return (await runProgram(command, { timeoutMs: 20_000 })).status === 0;
    };
    const lines = async (...args: string[]): Promise<string[]> => {
      const { status, stdout, stderr } = await ctr(...args);
      if (status !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
      return stdout.split("\n").filter(Boolean);
    };

    /** An archive of an image with two layers that no other has. */
    function archive(round: number): string {
      const name = `example.com/round${round}:1`;
      const path = folder.join(`round${round}.tar`);
      const layers = [0, 1].map((layer) => {
        const files = folder.join(`files${round}-${layer}`);
        mkdirSync(files);
        for (let file = 0; file < 20; file++) writeFileSync(join(files, `file${layer}-${file}`), randomBytes(50_000));
        const tar = tarOfFolder(files);
        rmSync(files, { recursive: true });
        return { tar, compression: "gzip" as const };
      });
      writeLayout(folder.join(`layout${round}`), [{ name, layers }]);
      packLayout(folder.join(`layout${round}`), path);
      return path;
    }

    /** Work of many kinds side by side; remembers what was answered for. */
    async function work(round: number, path: string): Promise<void> {
      const image = `example.com/round${round}:1`;
      const importing = async (): Promise<void> => {
        if (await done("images", "import", path)) promised.images.add(image);
      };
      const tagging = async (): Promise<void> => {
        for (let tag = 0; tag < 20; tag++) {
          const name = `example.com/tag:${round}-${tag}`;
          if (!(await done("images", "tag", busybox, name))) return;
          promised.images.add(name);
        }
      };
      const running = async (): Promise<void> => {
        for (let number = 0; number < 5; number++) {
          const id = `c${round}-${number}`;
          if (!(await done("run", "--detach", "--null-io", busybox, id, "sleep", "1000"))) return;
          promised.containers.add(id);
        }
      };
      const removing = async (): Promise<void> => {
        for (const name of [...promised.images].filter((known) => known.includes("/tag:")).slice(0, 5)) {
          promised.doubtful.add(name);
          if (!(await done("images", "rm", "--sync", name))) return;
        }
      };
      await Promise.all([importing(), tagging(), running(), removing()]);
    }

    /** As the machine ends with its power: processes, mounts, what is in memory. */
    async function endAll(): Promise<void> {
      for (let attempt = 0; attempt < 50; attempt++) {
        const daemons = processesBelow(folder.join("h")).map(({ pid }) => pid);
        const processes = [...daemons, ...processesIn(`/${namespace}/`)];
        for (const pid of processes) killIfThere(pid);
        for (const { target } of mountInfo()) {
          if (target.startsWith(folder.join("h", "state"))) unmount(target, { detach: true });
        }
        if (processes.length === 0) break;
        await Bun.sleep(20);
      }
      rmSync(folder.join("h", "state"), { recursive: true, force: true });
    }

    /** Every blob has the bytes of its name, every image all of its content, every record its files and every directory its record. */
    async function expectSound(): Promise<void> {
      const state = await storeState(daemon, namespace);
      const blobs = state.onDisk.filter((path) => path.includes("/blobs/"));
      expect(blobs.map((path) => `sha256:${basename(path)}`)).toEqual(state.content);
      for (const path of blobs) {
        expect(new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")).toBe(basename(path));
      }
      // No directory without a record; and what is asked for can be mounted.
      expect(state.onDisk.filter((path) => path.includes("/snapshots/")).length).toBeLessThanOrEqual(
        state.snapshots.length,
      );
      for (const id of await lines("containers", "ls", "-q")) {
        const [, upper = ""] = /upperdir=([^,\s]+)/.exec((await lines("snapshots", "mounts", "/x", id)).join()) ?? [];
        expect({ id, upper, there: existsSync(upper) }).toEqual({ id, upper, there: true });
      }
      for (const line of (await lines("images", "check")).slice(1)) expect(line).toContain("complete");
    }

    /** What was unpacked has the files of the image: the daemon must not have recorded a snapshot whose files were still in memory. */
    async function expectFiles(image: string): Promise<void> {
      const target = folder.join("mounted");
      mkdirSync(target, { recursive: true });
      const key = `look-${basename(image)}`;
      const unpacked = (await lines("images", "check", `name==${image}`)).at(-1)?.trim().endsWith("true");
      if (unpacked !== true) return;
      await lines("images", "mount", image, target);
      try {
        for (let layer = 0; layer < 2; layer++) {
          const files = readdirSync(target).filter((name) => name.startsWith(`file${layer}-`));
          expect({ key, files: files.length }).toEqual({ key, files: 20 });
          for (const name of files) {
            const bytes = readFileSync(join(target, name));
            expect({ key, name, length: bytes.length, empty: bytes.every((byte) => byte === 0) }).toEqual({
              ...{ key, name, length: 50_000, empty: false },
            });
          }
        }
      } finally {
        await ctr("images", "unmount", "--rm", target);
      }
    }

    test(`${rounds} times at random moments (seed ${seed})`, async () => {
      const random = new Random(seed);
      expect((await ctr("images", "import", folder.join("busybox.tar"))).status).toBe(0);
      promised.images.add(busybox);
      for (let round = 0; round < rounds; round++) {
        const path = archive(round);
        const working = work(round, path);
        await Bun.sleep(200 + random.below(2500));
        disk.losePower();
        await daemon.stop("SIGKILL");
        await working;
        await endAll();
        await disk.restore();
        daemon = await boot();
        await expectSound();
        const images = new Set(await lines("images", "ls", "-q"));
        const containers = new Set(await lines("containers", "ls", "-q"));
        const missing = [
          ...[...promised.images].filter((name) => !images.has(name) && !promised.doubtful.has(name)),
          ...[...promised.containers].filter((id) => !containers.has(id)),
        ];
        expect(missing).toEqual([]);
        for (const name of [...images].filter((known) => known.includes("/round"))) await expectFiles(name);
        const after = await ctr("run", "--rm", busybox, `after${round}`, "echo", "alive");
        if (after.status !== 0) console.error(daemon.log());
        expect(after).toMatchObject({ status: 0, stdout: "alive\n" });
        promised.images = images;
        promised.doubtful.clear();
      }
    });
  },
);

/** Processes in control groups whose path has this in it. */
function processesIn(path: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cgroup`, "latin1").includes(path);
      } catch {
        return false; // it has ended
      }
    })
    .map(Number);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
