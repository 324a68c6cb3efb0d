import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountInfo, unmountAll } from "@hull/sys/mount";
import fc from "fast-check";
import { contextFor } from "../../context.ts";
import { Metadata } from "../../metadata/index.ts";
import type { Mount } from "../index.ts";
import { LocalMountManager } from "./manager.ts";
import { parseSize } from "./transforms.ts";

const root = process.getuid?.() === 0;
const loops = root && existsSync("/dev/loop-control") && Bun.which("mkfs.ext4") !== null;
const ctx = contextFor("default");

/** A manager with a folder of its own. */
class Fixture implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "hull-mounts-"));
  readonly metadata = Metadata.open(join(this.folder, "metadata"));
  manager = this.open();

  open(): LocalMountManager {
    mkdirSync(this.at("files"), { recursive: true });
    return new LocalMountManager({ metadata: this.metadata, targets: this.at("t"), roots: [this.at("files")] });
  }

  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** What is mounted below the folder. */
  mounted(): string[] {
    return mountInfo()
      .map(({ target }) => target)
      .filter((target) => target.startsWith(this.folder))
      .map((target) => target.slice(this.folder.length + 1));
  }

  [Symbol.dispose](): void {
    for (const place of this.mounted()) unmountAll(this.at(place));
    this.metadata[Symbol.dispose]();
    rmSync(this.folder, { recursive: true });
  }
}

const mount = (type: string, source: string, ...options: string[]): Mount => ({ type, source, target: "", options });

describe("the mount manager", () => {
  test("leaves to the caller what the caller can do", async () => {
    using fixture = new Fixture();
    const bind = mount("bind", "/x", "rbind");
    await expect(fixture.manager.activate(ctx, "a", [bind])).rejects.toMatchObject({
      code: "unimplemented",
      message: "",
    });
    expect(await fixture.manager.list(ctx)).toEqual([]);
    for (const call of [fixture.manager.info(ctx, "a"), fixture.manager.deactivate(ctx, "a")]) {
      await expect(call).rejects.toMatchObject({ code: "notFound", message: expect.stringContaining('"a"') });
    }
  });

  test.skipIf(!loops)("makes, mounts, fills in, and takes it all down (needs root, loop, mkfs.ext4)", async () => {
    using fixture = new Fixture();
    const { manager } = fixture;
    const options = ["X-containerd.mkfs.fs=ext4", "X-containerd.mkfs.size=16MiB", "rw", "loop"];
    const mounts = [
      mount("mkfs/ext4", fixture.at("files", "rw.img"), ...options),
      mount(
        "format/mkdir/bind",
        "{{ mount 0 }}/upper",
        "X-containerd.mkdir.path={{ mount 0 }}/upper:0750:5:6",
        "rw",
        "rbind",
      ),
    ];
    const made = await manager.activate(ctx, "a", mounts, { labels: { a: "b" } });
    expect(made.active.map(({ mount: { type, options: left } }) => [type, left])).toEqual([["ext4", ["rw", "loop"]]]);
    const place = made.active[0]?.mountPoint ?? "";
    expect(made.system).toEqual([mount("bind", `${place}/upper`, "rw", "rbind")]);
    expect(statSync(`${place}/upper`)).toMatchObject({ uid: 5, gid: 6, mode: 0o40750 });
    expect(readFileSync(`${place}-type`, "utf8")).toBe("ext4");
    expect(await manager.info(ctx, "a")).toEqual(made);
    expect(await manager.list(ctx, ["labels.a==b"])).toEqual([made]);
    expect(await manager.list(contextFor("other"))).toEqual([]);
    await expect(manager.activate(ctx, "a", mounts)).rejects.toMatchObject({ code: "alreadyExists" });
    expect((await manager.update(ctx, "a", { c: "d" }, ["labels.c"])).labels).toEqual({ a: "b", c: "d" });
    writeFileSync(`${place}/upper/file`, "kept");
    // Another daemon finds it as it was.
    fixture.manager = fixture.open();
    await fixture.manager.deactivate(ctx, "a");
    expect([fixture.mounted(), readdirSync(fixture.at("t"))]).toEqual([[], []]);
    const again = await fixture.manager.activate(ctx, "a", mounts);
    expect(readFileSync(`${again.active[0]?.mountPoint}/upper/file`, "utf8")).toBe("kept");
    await fixture.manager.deactivate(ctx, "a");
  });

  test.skipIf(!root)("temporary: does all, and gives one bind mount (needs root)", async () => {
    using fixture = new Fixture();
    const { manager } = fixture;
    for (const name of ["1", "2"]) mkdirSync(fixture.at("files", name));
    writeFileSync(fixture.at("files", "1", "one"), "");
    const binds = ["1", "2"].map((name) => mount("bind", fixture.at("files", name), "rbind", "ro"));
    const overlay = mount("format/overlay", "overlay", "lowerdir={{ overlay 1 0 }}");
    const made = await manager.activate(ctx, "a", [...binds, overlay], { temporary: true });
    expect(made.active.length).toBe(3);
    expect(made.system).toEqual([mount("bind", made.active[2]?.mountPoint ?? "", "rbind")]);
    expect(readdirSync(made.active[2]?.mountPoint ?? "")).toEqual(["one"]);
    await manager.deactivate(ctx, "a");
    expect(fixture.mounted()).toEqual([]);
  });

  test.skipIf(!root)("what fails leaves nothing, and what nobody owns is taken down (needs root)", async () => {
    using fixture = new Fixture();
    const { manager } = fixture;
    const good = mount("bind", fixture.at("files"), "rbind");
    const bad: readonly [Mount, string][] = [
      [mount("format/bind", "{{ mount 7 }}"), "index out of bounds: 7, has 1 active mounts"],
      [mount("format/bind", "{{ overlay 0 4 }}"), "invalid range: 0-4"],
      [mount("format/bind", "{{ range 0 }}"), "is no mount"],
      [mount("format/bind", "{{ mount }}"), "can't be filled in"],
      [mount("mkdir/bind", "/x", `X-containerd.mkdir.path=${tmpdir()}/elsewhere`), "configured for mkdir"],
      [
        mount("mkdir/bind", "/x", `X-containerd.mkdir.path=${fixture.at("files")}/../../elsewhere`),
        "configured for mkdir",
      ],
      [
        mount("mkdir/bind", "/x", `X-containerd.mkdir.path=${fixture.at("files")}/out/elsewhere`),
        "configured for mkdir",
      ],
      [mount("mkdir/bind", "/x", "X-containerd.mkdir.mode=1"), "invalid mkdir option"],
      [mount("mkfs/ext4", fixture.at("files/image"), "loop"), "requires mkfs.size"],
      [
        mount("mkfs/ext4", fixture.at("files/image"), "X-containerd.mkfs.size=1m", "X-containerd.mkfs.fs=ntfs"),
        "unsupported filesystem",
      ],
      [mount("erofs", "/nonexistent", "ro"), "ENOENT"],
    ];
    symlinkSync(tmpdir(), fixture.at("files/out"));
    for (const [one, message] of bad) {
      await expect(manager.activate(ctx, "a", [good, one], { temporary: true })).rejects.toThrow(message);
      expect([fixture.mounted(), readdirSync(fixture.at("t"))]).toEqual([[], []]);
    }
    expect(await manager.list(ctx)).toEqual([]);
    await manager.activate(ctx, "a", [good], { temporary: true });
    fixture.metadata.write(() => fixture.metadata.sql.prepare("DELETE FROM mounts").run());
    await manager.cleanup();
    expect(fixture.mounted()).toEqual([]);
    // Gone with a reboot: the record goes too.
    await manager.activate(ctx, "b", [good], { temporary: true });
    unmountAll(fixture.at(fixture.mounted()[0] ?? ""));
    rmSync(fixture.at("t"), { recursive: true });
    expect(await fixture.open().list(ctx)).toEqual([]);
  });

  test.skipIf(!loops)("a loop device lasts as long as its activation (needs root, loop)", async () => {
    using fixture = new Fixture();
    const image = fixture.at("files", "image");
    writeFileSync(image, "");
    truncateSync(image, 1 << 20);
    const { active } = await fixture.manager.activate(ctx, "a", [mount("loop", image)]);
    expect(statSync(active[0]?.mountPoint ?? "").isBlockDevice()).toBe(true);
    await fixture.manager.deactivate(ctx, "a");
    expect(Bun.spawnSync(["losetup", "-j", image]).stdout.toString()).toBe("");
  });

  test.skipIf(!root)("one that is in use is not torn away (needs root)", async () => {
    using fixture = new Fixture();
    const { active } = await fixture.manager.activate(ctx, "a", [mount("tmpfs", "tmpfs")], { temporary: true });
    const place = active[0]?.mountPoint ?? "";
    const user = Bun.spawn(["sleep", "60"], { cwd: place });
    await expect(fixture.manager.deactivate(ctx, "a")).rejects.toMatchObject({ code: "failedPrecondition" });
    user.kill();
    await user.exited;
    await fixture.manager.cleanup();
    expect(fixture.mounted()).toEqual([]);
  });
});

test("sizes are read as people write them", () => {
  expect(["1", "64m", "1.5GiB", "2 kb", "3T"].map(parseSize)).toEqual([1, 64 << 20, 1.5 * 2 ** 30, 2048, 3 * 2 ** 40]);
  for (const bad of ["", "0", "-1", "1x", "m", "9e9", "99999999T"]) expect(() => parseSize(bad)).toThrow("is no size");
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        expect(parseSize(text)).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: "invalidArgument" });
      }
    }),
  );
});
