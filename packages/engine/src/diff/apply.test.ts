import { describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { isCode } from "@hull/errors";
import { getAttribute, setAttribute } from "@hull/sys/files";
import { mountAll, unmountAll } from "@hull/sys/mount";
import fc from "fast-check";
import { contextFor } from "../context.ts";
import { UnpackerApplier } from "./apply.ts";
import { Bench, bind, describeTree, layerOf, overlay, type TestEntry } from "./testing.ts";

const root = process.getuid?.() === 0;
const sha256 = (bytes: Uint8Array) => `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
const run = (argv: string[], stdin?: Uint8Array) => {
  const { success, stderr, stdout } = Bun.spawnSync(argv, { stdin });
  if (!success) throw new Error(`${argv.join(" ")}: ${stderr}`);
  return new Uint8Array(stdout);
};

const at = (seconds: number, nanoseconds = 0) => ({ seconds, nanoseconds });

/** A layer with something of everything. */
const everything = layerOf(
  { name: "./", type: "directory", mode: 0o700 },
  { name: "bin/", type: "directory", mtime: at(1000, 123) },
  { name: "bin/plain", content: "plain\n", mode: 0o755, mtime: at(2000, 987654321) },
  { name: "bin/suid", content: "suid\n", mode: 0o4755, uid: 7, gid: 8 },
  {
    name: "bin/capable",
    content: "cap\n",
    mode: 0o755,
    uid: 3,
    xattrs: new Map([["security.capability", capability()]]),
  },
  { name: "bin/linked", type: "hardlink", linkName: "bin/plain" },
  { name: "bin/capable-too", type: "hardlink", linkName: "./bin/capable" },
  { name: "bin/sh", type: "symlink", linkName: "/bin/plain", mtime: at(3000, 5) },
  { name: "tmp", type: "directory", mode: 0o1777 },
  { name: "mail", type: "directory", mode: 0o2775, gid: 12 },
  { name: "mail/box", content: "mail", uid: 5 },
  { name: "mail/inner", type: "directory", gid: 0 },
  { name: "dev/null", type: "character", deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
  { name: "dev/disk", type: "block", deviceMajor: 259, deviceMinor: 70000, mode: 0o660, gid: 6 },
  { name: "run/pipe", type: "fifo", mode: 0o600 },
  { name: "attributes", content: "x", xattrs: new Map([["user.a", Buffer.from([0, 1, 255])]]) },
  { name: `${"deep/".repeat(50)}file`, content: "deep" },
  { name: `long${"-name".repeat(40)}`, content: "long" },
  { name: "empty" },
  { name: "big", content: Buffer.alloc(3_000_000, "0123456789abcdef") },
  { name: "old", content: "1970" },
);

/** A file capability: cap_net_raw+ep (include/uapi/linux/capability.h, struct vfs_cap_data, revision 2). */
function capability(): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(0x02000001, 0);
  bytes.writeUInt32LE(1 << 13, 4);
  return bytes;
}

describe.skipIf(!root)("apply (needs root)", () => {
  test("makes the files that GNU tar makes, whatever the compression", async () => {
    using bench = new Bench();
    const wanted = bench.directory();
    run(["tar", "-C", wanted, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", "-"], everything);
    // What only exists as a parent gets the time of unpacking: not comparable.
    const comparable = (directory: string) =>
      describeTree(directory).filter((line) => !/^(?:dev|run|deep[/a-z]*) /.test(line) || line.includes("file"));
    const variants = { none: everything, gzip: gzipSync(everything), zstd: zstdCompressSync(everything) };
    for (const layer of Object.values(variants)) {
      const target = bench.directory();
      expect(await bench.apply(bind(target), layer)).toBe(sha256(everything));
      expect(comparable(target)).toEqual(comparable(wanted));
      expect(statSync(join(target, "deep")).mode & 0o7777).toBe(0o755);
    }
  });

  test("keeps the holes of sparse files, and bytes behind 4 GiB", async () => {
    using bench = new Bench();
    const source = bench.directory();
    run(["truncate", "-s", "5G", join(source, "holes")]);
    run([
      "dd",
      "if=/dev/urandom",
      `of=${join(source, "holes")}`,
      "bs=4096",
      "count=1",
      "seek=1200000",
      "conv=notrunc",
      "status=none",
    ]);
    for (const format of ["gnu", "pax"]) {
      const target = bench.directory();
      await bench.apply(bind(target), run(["tar", `--format=${format}`, "-S", "-C", source, "-cf", "-", "holes"]));
      const [original, copy] = [source, target].map((directory) => lstatSync(join(directory, "holes")));
      expect(copy?.size).toBe(5 * 1024 ** 3);
      expect(copy?.blocks).toBe(original?.blocks ?? -1);
      const tail = (directory: string) =>
        Bun.file(join(directory, "holes")).slice(4_915_200_000, 4_915_204_096).bytes();
      expect(await tail(target)).toEqual(await tail(source));
    }
  });

  test("names that are no UTF-8 stay as they are", async () => {
    using bench = new Bench();
    const target = bench.directory();
    const name = Buffer.from([0x66, 0xff, 0xe9]);
    await bench.apply(bind(target), layerOf({ name, content: "x" }, { name: "link", type: "symlink", linkName: name }));
    expect(readdirSync(target, { encoding: "buffer" }).map((one) => [...one])).toContainEqual([...name]);
    expect([...readlinkSync(join(target, "link"), { encoding: "buffer" })]).toEqual([...name]);
  });

  test("a later entry replaces an earlier one of whatever kind", async () => {
    using bench = new Bench();
    const target = bench.directory();
    await bench.apply(
      bind(target),
      layerOf(
        { name: "a/x/y", content: "1" },
        { name: "a", content: "file over directory", mtime: at(77) },
        { name: "b", content: "1" },
        { name: "b", type: "directory", mtime: at(5) },
        { name: "b/c", content: "in it" },
        { name: "d", type: "symlink", linkName: "b" },
        { name: "d", content: "file over link" },
        { name: "e", content: "1" },
        { name: "e", content: "2" },
        { name: "g", type: "directory", mtime: at(9) },
        { name: "g", type: "symlink", linkName: "b", mtime: at(11) },
      ),
    );
    expect(readFileSync(join(target, "a"), "utf8")).toBe("file over directory");
    expect(statSync(join(target, "a")).mtimeMs).toBe(77_000);
    expect(readFileSync(join(target, "b/c"), "utf8")).toBe("in it");
    expect(statSync(join(target, "b")).mtimeMs).toBe(5000);
    expect(readFileSync(join(target, "d"), "utf8")).toBe("file over link");
    expect(readFileSync(join(target, "e"), "utf8")).toBe("2");
    expect(lstatSync(join(target, "g")).mtimeMs).toBe(11_000);
  });

  test("whiteouts delete what was there before, not what the layer made, in any order", async () => {
    using bench = new Bench();
    const target = bench.directory();
    const lower = layerOf(
      { name: "gone", content: "1" },
      { name: "tree/a/b", content: "1" },
      { name: "opaque/old", content: "1" },
      { name: "opaque/kept/old", content: "1" },
      { name: "stays", content: "1" },
      { name: "renewed", content: "1" },
    );
    await bench.apply(bind(target), lower);
    await bench.apply(
      bind(target),
      layerOf(
        { name: ".wh.gone" },
        { name: ".wh.tree" },
        { name: "opaque/new", content: "2" },
        { name: "opaque/kept/new", content: "2" },
        { name: "opaque/.wh..wh..opq" },
        { name: "opaque/late", content: "2" },
        { name: "renewed", content: "2" },
        { name: ".wh.renewed" },
        { name: ".wh..wh.plnk/1.2", content: "aufs" },
        { name: ".wh..wh.aufs", content: "aufs" },
      ),
    );
    expect(run(["find", target, "-mindepth", "1", "-printf", "%P\n"]).toString().length).toBeGreaterThan(0);
    const files = describeTree(target).map((line) => line.split(" ")[0]);
    expect(files).toEqual([
      "opaque",
      "opaque/kept",
      "opaque/kept/new",
      "opaque/late",
      "opaque/new",
      "renewed",
      "stays",
    ]);
    expect(readFileSync(join(target, "renewed"), "utf8")).toBe("2");
  });

  test("onto an overlay it writes to the upper directory what shows as the same when mounted", async () => {
    using bench = new Bench();
    const first = layerOf(
      { name: "gone", content: "1" },
      {
        name: "directory",
        type: "directory",
        mode: 0o750,
        uid: 4,
        gid: 5,
        mtime: at(500, 5),
        xattrs: new Map([["user.x", Buffer.from("y")]]),
      },
      { name: "directory/lower", content: "1" },
      { name: "opaque/old", content: "1" },
      { name: "remade/old", content: "1" },
      { name: "turned/old", content: "1" },
      { name: "late/old", content: "1" },
      { name: "target", content: "linked" },
    );
    const second = layerOf(
      { name: ".wh.gone" },
      { name: "directory/upper", content: "2" },
      { name: "opaque/.wh..wh..opq" },
      { name: "opaque/new", content: "2" },
      { name: ".wh.remade" },
      { name: "remade", type: "directory", mtime: at(9) },
      { name: "remade/new", content: "2" },
      { name: ".wh.turned" },
      { name: "turned/new", content: "2" },
      { name: "late", type: "directory", mtime: at(10) },
      { name: ".wh.late" },
      { name: "alias", type: "hardlink", linkName: "target" },
    );
    const [lower, upper, work, merged, plain] = Array.from({ length: 5 }, () => bench.directory());
    if (!lower || !upper || !work || !merged || !plain) throw new Error("no directories");
    await bench.apply(bind(lower), first);
    await bench.apply(overlay(upper, work, [lower]), second);
    expect(lstatSync(join(upper, "gone")).rdev).toBe(0);
    const adopted = statSync(join(upper, "directory"));
    expect([adopted.mode & 0o777, adopted.uid, adopted.gid, Math.trunc(adopted.mtimeMs)]).toEqual([
      0o750, 4, 5, 500_000,
    ]);
    expect(Buffer.from(getAttribute(join(upper, "directory"), "user.x") ?? "").toString()).toBe("y");

    await bench.apply(bind(plain), first);
    await bench.apply(bind(plain), second);
    using _ = mounted(overlay(upper, work, [lower]), merged);
    const names = (directory: string) => describeTree(directory).map((line) => line.split(" ")[0]);
    expect(names(merged)).toEqual(names(plain));
    expect(names(merged)).toContain("remade/new");
    expect(names(merged)).not.toContain("remade/old");
    expect(readFileSync(join(merged, "alias"), "utf8")).toBe("linked");
  });

  test("an opaque root hides all that is below it", async () => {
    using bench = new Bench();
    const [lower, upper, work, merged, alone] = Array.from({ length: 5 }, () => bench.directory());
    if (!lower || !upper || !work || !merged || !alone) throw new Error("no directories");
    await bench.apply(bind(lower), layerOf({ name: "a", content: "1" }, { name: "b/c", content: "1" }));
    const layer = layerOf({ name: "b/new", content: "2" }, { name: ".wh..wh..opq" });
    await bench.apply(overlay(upper, work, [lower]), layer);
    using _ = mounted(overlay(upper, work, [lower]), merged);
    expect(describeTree(merged).map((line) => line.split(" ")[0])).toEqual(["b", "b/new"]);
    await expect(codeOf(bench.apply(bind(alone), layer, { rebase: true }))).resolves.toBe("failedPrecondition");
  });

  test("for a parent that comes later it keeps deletions, and refuses links to and parents of what isn't in the layer", async () => {
    using bench = new Bench();
    const target = bench.directory();
    const directories: TestEntry[] = ["a", "o"].map((name) => ({ name, type: "directory" }));
    await bench.apply(bind(target), layerOf(...directories, { name: "a/.wh.b" }, { name: "o/.wh..wh..opq" }), {
      rebase: true,
    });
    const homeless = layerOf({ name: "tmp/file", content: "x" });
    expect(await codeOf(bench.apply(bind(target), homeless, { rebase: true }))).toBe("failedPrecondition");
    expect(lstatSync(join(target, "a/b")).isCharacterDevice()).toBe(true);
    expect(Buffer.from(getAttribute(join(target, "o"), "trusted.overlay.opaque") ?? "").toString()).toBe("y");
    const linking = layerOf({ name: "l", type: "hardlink", linkName: "below" });
    expect(await codeOf(bench.apply(bind(target), linking, { rebase: true }))).toBe("failedPrecondition");
  });

  test("onto mounts that show no directory of their own it mounts, and leaves nothing mounted", async () => {
    using bench = new Bench();
    const [lower, upper, work] = [bench.directory(), bench.directory(), bench.directory()];
    const [mount] = overlay(upper, work, [lower]);
    if (mount === undefined) throw new Error("no mount");
    writeFileSync(join(lower, "gone"), "");
    const mounts = [{ ...mount, options: [...mount.options, "redirect_dir=on"] }];
    await bench.apply(mounts, layerOf({ name: "x", content: "x" }, { name: ".wh.gone" }));
    expect(readFileSync(join(upper, "x"), "utf8")).toBe("x");
    expect(lstatSync(join(upper, "gone")).isCharacterDevice()).toBe(true);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(bench.path);
    expect(readdirSync(bench.path).some((name) => name.startsWith("hull-apply-"))).toBe(false);
    expect(await codeOf(bench.apply([{ ...mount, options: ["ro", ...mount.options] }], layerOf()))).toBe(
      "failedPrecondition",
    );
  });

  describe("hostile layers", () => {
    const passwd: TestEntry[] = [
      { name: "etc", type: "directory" },
      { name: "etc/passwd", content: "evil" },
    ];
    const contained: [name: string, ...entries: TestEntry[]][] = [
      [
        "an absolute link as parent",
        { name: "a", type: "symlink", linkName: "/outside" },
        { name: "a/file", content: "x" },
      ],
      [
        "a climbing link as parent",
        { name: "a", type: "symlink", linkName: "../../../outside" },
        { name: "a/file", content: "x" },
      ],
      [
        "a link to a link",
        { name: "a", type: "symlink", linkName: "/" },
        { name: "b", type: "symlink", linkName: "a/../../outside" },
        { name: "b/file", content: "x" },
      ],
      ["an absolute name", { name: "/outside/file", content: "x" }],
      [
        "a link in the way of a file",
        { name: "f", type: "symlink", linkName: "../outside/file" },
        { name: "f", content: "x" },
      ],
      [
        "a hard link to a link",
        { name: "s", type: "symlink", linkName: "../outside/victim" },
        { name: "h", type: "hardlink", linkName: "s" },
        { name: "h", content: "x" },
      ],
      ["deletion through a link", { name: "a", type: "symlink", linkName: "../outside" }, { name: "a/.wh.victim" }],
      ["clearing through a link", { name: "a", type: "symlink", linkName: "../outside" }, { name: "a/.wh..wh..opq" }],
    ];
    const refused: [name: string, message: string, ...entries: TestEntry[]][] = [
      ["climbing names", "leads out", { name: "../outside/file", content: "x" }],
      ["names that climb in the middle", "leads out", { name: "a/../../outside/file", content: "x" }],
      ["hard links that climb", "leads out", { name: "h", type: "hardlink", linkName: "../outside/victim" }],
      [
        "hard links through a link",
        "not there",
        { name: "a", type: "symlink", linkName: "../outside" },
        { name: "h", type: "hardlink", linkName: "a/victim" },
      ],
      [
        "hard links to directories",
        "directory",
        { name: "d", type: "directory" },
        { name: "h", type: "hardlink", linkName: "d" },
      ],
      ["hard links to nothing", "not there", { name: "h", type: "hardlink", linkName: "nothing" }],
      ["hard links to themselves", "itself", { name: "h", type: "hardlink", linkName: "h" }],
      [
        "links in a circle as parent",
        "links",
        { name: "a", type: "symlink", linkName: "b" },
        { name: "b", type: "symlink", linkName: "a" },
        { name: "a/file", content: "x" },
      ],
      ["a file as parent", "not a directory", { name: "a", content: "x" }, { name: "a/b", content: "x" }],
      ["a whiteout of nothing", "names no file", { name: ".wh." }],
      ["a whiteout of its own directory", "names no file", { name: "d/.wh.." }],
      ["a whiteout of the directory above", "names no file", { name: "d/.wh..." }],
      ["a name that is too long", "longer", { name: "x/".repeat(3000), type: "directory" }],
      ["a part that is too long", "ENAMETOOLONG", { name: "x".repeat(300), content: "x" }],
      ["a root that is a link", "root", { name: "./", type: "symlink", linkName: "/etc" }],
    ];

    /** A target with a neighbour that must stay as it is. */
    const scene = (bench: Bench) => {
      const place = bench.directory();
      const [target, outside] = [join(place, "target"), join(place, "outside")];
      mkdirSync(target);
      mkdirSync(outside);
      writeFileSync(join(outside, "victim"), "untouched");
      const check = () => {
        expect(readdirSync(place).sort()).toEqual(["outside", "target"]);
        expect(readdirSync(outside)).toEqual(["victim"]);
        expect(readFileSync(join(outside, "victim"), "utf8")).toBe("untouched");
        expect(statSync(join(outside, "victim")).nlink).toBe(1);
        expect(existsSync("/outside")).toBe(false);
      };
      return { target, check };
    };

    for (const [name, ...entries] of contained) {
      test(`${name} stays inside`, async () => {
        using bench = new Bench();
        for (const rebase of [false, true]) {
          const { target, check } = scene(bench);
          const applied = bench.apply(bind(target), layerOf(...passwd, ...entries), { rebase });
          // What has no parent in its layer is refused as long as the layers below aren't known.
          expect<unknown[]>(rebase ? [undefined, "failedPrecondition"] : [undefined]).toContain(await codeOf(applied));
          check();
        }
      });
    }
    for (const [name, message, ...entries] of refused) {
      test(`${name}: refused`, async () => {
        using bench = new Bench();
        for (const rebase of [false, true]) {
          const { target, check } = scene(bench);
          const applied = bench.apply(bind(target), layerOf(...passwd, ...entries), { rebase });
          await expect(applied).rejects.toThrow(message);
          expect<unknown[]>(["invalidArgument", "failedPrecondition"]).toContain(await codeOf(applied));
          check();
        }
      });
    }

    test("what steers overlayfs itself is left out", async () => {
      using bench = new Bench();
      const target = bench.directory();
      const xattrs = new Map([["trusted.overlay.redirect", Buffer.from("/etc")]]);
      await bench.apply(bind(target), layerOf({ name: "d", type: "directory", xattrs }), { rebase: true });
      expect(getAttribute(join(target, "d"), "trusted.overlay.redirect")).toBeUndefined();
    });

    test("damage anywhere is an error or harmless", async () => {
      using bench = new Bench();
      const { target, check } = scene(bench);
      const small = layerOf(
        { name: "a", type: "symlink", linkName: "../outside" },
        { name: "a/b", content: "1" },
        { name: "c", type: "hardlink", linkName: "a/b" },
        { name: "d/.wh.e" },
      );
      const mutations = fc.array(fc.tuple(fc.nat(small.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(mutations, fc.boolean(), async (changes, compressed) => {
          const bytes = Buffer.from(compressed ? gzipSync(small) : small);
          for (const [position, value] of changes) bytes[position % bytes.length] = value;
          const code = await codeOf(bench.apply(bind(target), bytes));
          if (code !== undefined)
            expect<unknown[]>(["invalidArgument", "failedPrecondition", "unimplemented"]).toContain(code);
          check();
        }),
        { numRuns: 25 },
      );
    });
  });

  test("errors name the layer, and the entry", async () => {
    using bench = new Bench();
    const target = bench.directory();
    const cut = everything.subarray(0, 300);
    await expect(bench.apply(bind(target), cut)).rejects.toThrow(
      /layer "sha256:layer-\d+" can't be unpacked: .*cut off/,
    );
    await expect(bench.apply(bind(target), gzipSync(everything).subarray(0, 900))).rejects.toThrow("unexpected end");
    await expect(bench.apply(bind(target), layerOf({ name: "../x" }))).rejects.toThrow('entry "../x"');
    await expect(bench.apply(bind(join(target, "none")), everything)).rejects.toThrow("ENOENT");
    const context = contextFor("test");
    const other = { mediaType: "application/x-other", digest: "sha256:abc", size: 1 };
    expect(await codeOf(bench.applier.apply(context, other, bind(target)))).toBe("unimplemented");
  });

  test("an unpacker that dies is an internal error, one that is called off ends", async () => {
    using bench = new Bench();
    const target = bench.directory();
    writeFileSync(join(bench.path, "blob"), everything);
    const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: "blob", size: everything.length };
    const content = { path: async () => join(bench.path, "blob") };
    const broken = new UnpackerApplier({ content, command: ["/bin/sh", "-c", "echo oops >&2; exit 3"] });
    await expect(broken.apply(contextFor("test"), descriptor, bind(target))).rejects.toThrow(/status 3.*oops/);
    const stuck = new UnpackerApplier({ content, command: ["/bin/sh", "-c", "exec sleep 100"], concurrency: 1 });
    const controller = new AbortController();
    const context = contextFor("test", { signal: controller.signal });
    const running = codeOf(stuck.apply(context, descriptor, bind(target)));
    const waiting = codeOf(stuck.apply(context, descriptor, bind(target)));
    setTimeout(() => controller.abort(), 50);
    expect(await Promise.all([running, waiting])).toEqual(["canceled", "canceled"]);
    expect(await codeOf(stuck.apply(context, descriptor, bind(target)))).toBe("canceled");
  });

  test("attributes that were there stay when a directory comes again", async () => {
    using bench = new Bench();
    const target = bench.directory();
    mkdirSync(join(target, "d"));
    symlinkSync("d", join(target, "l"));
    setAttribute(join(target, "d"), "user.a", Buffer.from("1"));
    await bench.apply(
      bind(target),
      layerOf({ name: "d", type: "directory", mode: 0o711, uid: 9, mtime: at(44) }, { name: "l/new", content: "n" }),
    );
    const stat = statSync(join(target, "d"));
    expect([stat.mode & 0o777, stat.uid, stat.mtimeMs]).toEqual([0o711, 9, 44_000]);
    expect(getAttribute(join(target, "d"), "user.a")).toBeDefined();
    expect(readFileSync(join(target, "d/new"), "utf8")).toBe("n");
    expect(lstatSync(join(target, "l")).isSymbolicLink()).toBe(true);
  });
});

function mounted(mounts: Parameters<typeof mountAll>[0], target: string): Disposable {
  mountAll(mounts, target);
  return { [Symbol.dispose]: () => unmountAll(target) };
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    for (const code of ["canceled", "invalidArgument", "failedPrecondition", "unimplemented", "internal"] as const) {
      if (isCode(error, code)) return code;
    }
    throw error;
  }
}
