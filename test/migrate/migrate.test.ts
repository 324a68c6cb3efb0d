/** hull takes over what a real containerd made, and gives it back. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { writeBusyboxImage } from "../../scripts/image.ts";
import { type Daemon, noContainerd, startContainerd } from "../support/containerd.ts";
import { hullCommand, startHull } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

setDefaultTimeout(60_000);

const suite = noContainerd === undefined ? describe : describe.skip;
const busybox = "docker.io/library/busybox:latest";

suite(`hull migrate${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let namespace: string;
  const place = () => ["--root", folder.join("h", "root"), "--state", folder.join("h", "state")];

  beforeEach(() => {
    folder = scratch();
    namespace = basename(folder.path);
  });
  afterEach(() => {
    removeCgroup(cgroupAt(`/${namespace}`));
    folder[Symbol.dispose]();
  });

  const ctr = async (daemon: Daemon, ...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await runProgram([
      ...["ctr", "--address", daemon.address, "--namespace", namespace],
      ...args,
    ]);
    if (status !== 0) throw new Error(`ctr ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const migrate = (...args: string[]): Promise<Outcome> => runProgram([...hullCommand, ...place(), "migrate", ...args]);
  const root = () => folder.join("c", "root");

  /** Images, labels, containers, snapshots of two snapshotters, a lease; a container has run and left a file. */
  const fill = async (daemon: Daemon): Promise<void> => {
    writeBusyboxImage(folder.join("busybox.tar"), busybox);
    await ctr(daemon, "namespaces", "create", namespace, "owner=me");
    await ctr(daemon, "images", "import", folder.join("busybox.tar"));
    await ctr(daemon, "images", "tag", busybox, "example.com/other:1");
    await ctr(daemon, "images", "label", busybox, "kept=yes");
    await ctr(daemon, "run", "--null-io", "--label", "a=b", busybox, "ran", "/bin/sh", "-c", "echo written > /file");
    await ctr(daemon, "tasks", "rm", "ran").catch(() => "");
    await ctr(daemon, "containers", "create", "--snapshotter", "native", busybox, "plain", "/bin/true");
    await ctr(daemon, "leases", "create", "--id", "keep", "x=y");
  };

  /** All that a daemon lists, as text. */
  const listing = async (daemon: Daemon): Promise<string> => {
    const commands = [
      ["images", "ls"],
      ["images", "check"],
      ["containers", "ls"],
      ["containers", "info", "ran"],
      ["snapshots", "ls"],
      ["snapshots", "--snapshotter", "native", "ls"],
      ["snapshots", "info", "ran"],
      ["leases", "ls"],
      ["namespaces", "ls"],
      ["content", "ls", "--quiet"],
    ];
    const texts: string[] = [];
    for (const command of commands) texts.push(await ctr(daemon, ...command));
    return texts.join("\n");
  };

  test("lists, runs and gives back what containerd had", async () => {
    let before: string;
    {
      await using containerd = await startContainerd(folder.join("c"));
      await fill(containerd);
      before = await listing(containerd);
    }
    const { status, stdout, stderr } = await migrate("--from", root());
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toContain("took over 2 images, 2 containers, 4 snapshots, 1 leases, 3 blobs");
    {
      await using hull = await startHull(folder.join("h"));
      expect(await listing(hull)).toBe(before);
      // The container goes on with the files that it left.
      await ctr(hull, "tasks", "start", "--null-io", "ran");
      await ctr(hull, "tasks", "rm", "ran").catch(() => "");
      const mounts = (await ctr(hull, "snapshots", "mounts", "/nowhere", "ran")).match(/upperdir=([^,\s]+)/);
      expect(await Bun.file(join(mounts?.[1] ?? "", "file")).text()).toBe("written\n");
    }
    const undone = await migrate("--undo");
    expect(undone.stderr).toBe("");
    expect(undone.stdout).toContain("gave 4 snapshots back");
    await using containerd = await startContainerd(folder.join("c"));
    expect(await listing(containerd)).toBe(before);
    await ctr(containerd, "run", "--rm", "--null-io", busybox, "again", "/bin/true");
  });

  test("goes on after a crash amid it; no daemon starts before", async () => {
    {
      await using containerd = await startContainerd(folder.join("c"));
      await fill(containerd);
    }
    expect((await migrate("--from", root())).status).toBe(0);
    // As it is when the power goes amid the renaming.
    renameSync(folder.join("h", "root", "migrated.json"), folder.join("h", "root", "migrating.json"));
    const snapshots = "io.containerd.snapshotter.v1.overlayfs/snapshots";
    const [moved = ""] = readdirSync(folder.join("h", "root", snapshots));
    const journal = (await Bun.file(folder.join("h", "root", "migrating.json")).json()) as {
      moves: { from: string; to: string }[];
    };
    const move = journal.moves.find(({ to }) => to === join(snapshots, moved));
    renameSync(folder.join("h", "root", snapshots, moved), join(root(), move?.from ?? ""));
    await expect(startHull(folder.join("h"))).rejects.toThrow("isn't finished");
    expect((await migrate("--from", root())).status).toBe(0);
    await using hull = await startHull(folder.join("h"));
    expect(await ctr(hull, "run", "--rm", busybox, "after", "/bin/echo", "there")).toBe("there\n");
  });

  test("refuses what would lose something, and changes nothing", async () => {
    {
      await using containerd = await startContainerd(folder.join("c"));
      await fill(containerd);
      const busy = await migrate("--from", root());
      expect(busy.status).not.toBe(0);
      expect(busy.stderr).toMatch(/meta\.db" is in use by process \d+: stop it first/);
    }
    expect((await migrate("--from", folder.join("nothing"))).stderr).toContain("is no containerd's root");
    expect((await migrate("--undo")).stderr).toContain("nothing was migrated");
    expect((await migrate()).stderr).toContain("give the root of the containerd");
    {
      await using hull = await startHull(folder.join("h"));
      await ctr(hull, "images", "import", folder.join("busybox.tar"));
    }
    expect((await migrate("--from", root())).stderr).toContain("is in use already, with 1 images");
    expect(existsSync(folder.join("h", "root", "migrating.json"))).toBe(false);
  });

  test("doesn't undo without a word what was done since", async () => {
    {
      await using containerd = await startContainerd(folder.join("c"));
      await fill(containerd);
    }
    await migrate("--from", root());
    {
      await using hull = await startHull(folder.join("h"));
      await ctr(hull, "containers", "rm", "plain");
      await ctr(hull, "images", "tag", busybox, "example.com/new:1");
    }
    const refused = await migrate("--undo");
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("1 snapshots that hull has removed, 1 images that were made since");
    const forced = await migrate("--undo", "--force");
    expect(forced.stderr).toContain('snapshot "plain" was removed meanwhile');
    expect(forced.stdout).toContain("gave 3 snapshots back");
  });
});
