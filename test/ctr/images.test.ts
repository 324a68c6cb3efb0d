/** The real `ctr` on hull beside the real containerd: images, content, snapshots. */
import { expect } from "bun:test";
import { busyboxArchive, image } from "../support/busybox.ts";
import { compared } from "../support/compare.ts";
import { removeLeftovers } from "../support/leftovers.ts";

compared(
  "ctr, beside the real containerd: images, content, snapshots",
  async (pair) => {
    busyboxArchive(pair);
  },
  ({ test }) => {
    test("images: import, ls, check, tag, label, rm", async ({ folder, same }) => {
      await same(["images", "import", folder.join("busybox.tar")]);
      await same(["images", "ls"]);
      await same(["images", "ls", "-q"]);
      await same(["images", "ls", `name==${image}`]);
      await same(["images", "ls", "name=="]);
      await same(["images", "check"]);
      await same(["images", "check", "--quiet"]);
      await same(["images", "check", "--snapshotter", "native"]);
      await same(["images", "tag", image, "example.com/other:1"]);
      await same(["images", "tag", image, "example.com/other:1"]);
      await same(["images", "tag", "--force", image, "example.com/other:1"]);
      await same(["images", "label", "example.com/other:1", "a=b"]);
      await same(["images", "ls", "labels.a==b"]);
      await same(["images", "ls", "labels.a==b", "name==none"]);
      await same(["images", "ls", 'name~="^example"']);
      await same(["images", "label", "example.com/other:1", "a="]);
      await same(["images", "label", "none", "a=b"]);
      await same(["images", "ls"]);
      await same(["images", "rm", "example.com/other:1"]);
      await same(["images", "rm", "example.com/other:1"]);
      await same(["images", "rm", "--sync", "example.com/none:1", "example.com/none:2"]);
      await same(["images", "tag", "example.com/none:1", "example.com/none:2"]);
      await same(["-n", "elsewhere", "images", "ls"]);
      await same(["-n", "bad--name", "images", "ls"]);
    });

    test("images import: a truncated archive and one that is none are refused", async (pair) => {
      const whole = await Bun.file(pair.folder.join("busybox.tar")).bytes();
      await Bun.write(pair.folder.join("cut.tar"), whole.subarray(0, 300_000));
      await Bun.write(pair.folder.join("text.tar"), "this is no archive");
      await pair.same(["images", "import", pair.folder.join("cut.tar")]);
      await pair.same(["-n", "cut", "images", "import", pair.folder.join("cut.tar")]);
      await pair.same(["-n", "cut", "images", "import", pair.folder.join("text.tar")]);
      await pair.same(["-n", "cut", "images", "ls"]);
      await pair.same(["-n", "cut", "snapshots", "ls"]);
    });

    test("images: export gives the same archive, and it can be imported under another name", async (pair) => {
      await pair.same(["images", "export", "FOLDER/export.tar", image]);
      const [real, ours] = await Promise.all(pair.sides.map((side) => Bun.file(`${side.folder}/export.tar`).bytes()));
      expect(Bun.hash(ours ?? "")).toBe(Bun.hash(real ?? ""));
      await pair.same(["-n", "copy", "images", "import", "--base-name", "example.com/copy", "FOLDER/export.tar"]);
      await pair.same(["-n", "copy", "images", "ls"]);
    });

    test("images: mount and unmount", async (pair) => {
      await pair.each((side) => Bun.$`mkdir -p ${side.folder}/mount`.quiet().then(() => {}));
      await pair.same(["images", "mount", image, "FOLDER/mount"]);
      const [real, ours] = await Promise.all(
        pair.sides.map((side) => Bun.$`ls -lR ${side.folder}/mount | sort`.text()),
      );
      expect(ours?.replaceAll(pair.sides[1].folder, "")).toBe(real?.replaceAll(pair.sides[0].folder, ""));
      await pair.same(["images", "unmount", "--rm", "FOLDER/mount"]);
      await pair.same(["snapshots", "ls"], { sorted: true });
    });

    test("content: ls, get, label, and what is not there", async ({ same }) => {
      await same(["content", "ls"], { sorted: true });
      const digests = (await same(["content", "ls", "-q"], { sorted: true })).stdout.trim().split("\n");
      expect(digests.length).toBeGreaterThanOrEqual(3);
      for (const digest of digests) await same(["content", "get", digest]);
      const [first = ""] = digests;
      await same(["content", "label", first, "a=b", "c=d"]);
      await same(["content", "ls", "labels.a==b"]);
      await same(["content", "ls", `digest==${first}`]);
      await same(["content", "label", first, "a=", "c="]);
      await same(["content", "get", `sha256:${"0".repeat(64)}`]);
      await same(["content", "get", "nonsense"]);
      await same(["content", "get", ""]);
      await same(["content", "rm", `sha256:${"0".repeat(64)}`]);
      await same(["content", "active"], { sorted: true });
    });

    test("content ingest: checks size and digest; a big blob comes back as it went", async (pair) => {
      const { same } = pair;
      await same(["content", "ingest", "--expected-size", "5", "one"], { stdin: "hello" });
      await same(["content", "ingest", "--expected-size", "6", "two"], { stdin: "hello!!" });
      await same(["content", "ingest", "--expected-digest", `sha256:${"1".repeat(64)}`, "three"], { stdin: "x" });
      await same(["content", "ingest", "four"], { stdin: "another" });
      await same(["content", "ingest", "four"], { stdin: "another" });
      await same(["content", "active"], { sorted: true });
      const big = "0123456789abcdef".repeat(4 * 1024 * 1024);
      await same(["content", "ingest", "big"], { stdin: big });
      const digest = `sha256:${new Bun.CryptoHasher("sha256").update(big).digest("hex")}`;
      const [, ours] = await pair.both(["content", "get", digest]);
      expect(ours.stdout === big).toBe(true);
      await same(["content", "rm", digest]);
      await same(["content", "rm", digest]);
    });

    test("snapshots: ls, info, mounts, prepare, view, commit, label, rm", async ({ same }) => {
      const { stdout } = await same(["snapshots", "ls"], { sorted: true });
      const top = /sha256:[0-9a-f]{64}/.exec(stdout)?.[0] ?? "";
      const numbers = { mask: /snapshots\/\d+/g };
      await same(["snapshots", "info", top]);
      await same(["snapshots", "info", "none"]);
      await same(["snapshots", "prepare", "work", top]);
      await same(["snapshots", "prepare", "work", top]);
      await same(["snapshots", "prepare", "orphan", "none"]);
      await same(["snapshots", "prepare", "--target", "/target", "shown", top], numbers);
      await same(["snapshots", "view", "look", top]);
      // ctr makes a view without what keeps it from the garbage collector.
      await same(["snapshots", "label", "look", "containerd.io/gc.root=now"]);
      await same(["snapshots", "info", "look"]);
      await same(["snapshots", "mounts", "/target", "look"], numbers);
      await same(["snapshots", "mounts", "/target", "work"], numbers);
      await same(["snapshots", "mounts", "/target", top]);
      await same(["snapshots", "mounts", "/target", "none"]);
      await same(["snapshots", "label", "work", "a=b"]);
      await same(["snapshots", "label", "none", "a=b"]);
      await same(["snapshots", "info", "work"]);
      await same(["snapshots", "ls"], { sorted: true });
      const plain = ["snapshots", "diff", "--media-type", "application/vnd.oci.image.layer.v1.tar"];
      await same([...plain, "work"]);
      await same([...plain, top]);
      await same([...plain, top, "work"]);
      await same([...plain, "none"]);
      await same(["snapshots", "commit", "done", "work"]);
      await same(["snapshots", "commit", "done", "shown"]);
      await same(["snapshots", "commit", "again", "look"]);
      await same(["snapshots", "tree"]);
      await same(["snapshots", "usage", "done"]);
      await same(["snapshots", "usage", "none"]);
      await same(["snapshots", "usage"], { sorted: true });
      await same(["snapshots", "rm", top]);
      await same(["snapshots", "rm", "look", "shown"]);
      await same(["snapshots", "rm", "done"]);
      await same(["snapshots", "rm", "done"]);
      await same(["snapshots", "--snapshotter", "native", "ls"]);
      await same(["snapshots", "--snapshotter", "none", "ls"]);
      await same(["snapshots", "ls"], { sorted: true });
    });

    test("the native snapshotter: import and run on it", async ({ folder, same }) => {
      // Control groups and runc's states are the machine's, by namespace and id.
      const namespace = `native-${process.pid}`;
      using _leftovers = { [Symbol.dispose]: () => removeLeftovers(namespace) };
      await same(["-n", namespace, "images", "import", "--snapshotter", "native", folder.join("busybox.tar")]);
      await same(["-n", namespace, "snapshots", "--snapshotter", "native", "ls"]);
      await same(["-n", namespace, "run", "--rm", "--snapshotter", "native", image, "n1", "echo", "native"]);
      await same(["-n", namespace, "snapshots", "--snapshotter", "native", "ls"]);
    });
  },
);
