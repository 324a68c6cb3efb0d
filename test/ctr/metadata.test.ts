/** The real `ctr` on hull beside the real containerd: the server itself, namespaces and leases. */
import { expect } from "bun:test";
import { compared } from "../support/compare.ts";

compared(
  "ctr, beside the real containerd: server, namespaces, leases",
  async () => {},
  ({ test }) => {
    test("version: the client's block, then the server's", async ({ sides }) => {
      const [real, ours] = [await sides[0].ctr(["version"]), await sides[1].ctr(["version"])];
      expect(ours.status).toBe(0);
      const client = (text: string): string => text.slice(0, text.indexOf("Server:"));
      expect(client(ours.stdout)).toBe(client(real.stdout));
      expect(ours.stdout).toMatch(/Server:\n\s+Version: {2}\S+\n\s+Revision: \S*\n\s+UUID: [0-9a-f-]{36}/);
      // ctr compares the server's version and revision with its own.
      expect(ours.stderr.replace(/WARNING: (version|revision) mismatch\n/g, "")).toBe("");
    });

    test("plugins ls: what hull has is named as containerd names it", async (pair) => {
      const [real, ours] = await pair.both(["plugins", "ls"]);
      const rows = (text: string): Map<string, string> =>
        new Map(
          text
            .trim()
            .split("\n")
            .slice(1)
            .map((line) => line.split(/\s+/))
            .map(([type, id, platforms, status]) => [`${type} ${id}`, `${platforms} ${status}`]),
        );
      const [theirs, mine] = [rows(real.stdout), rows(ours.stdout)];
      for (const needed of [
        "io.containerd.content.v1 content",
        "io.containerd.snapshotter.v1 overlayfs",
        "io.containerd.snapshotter.v1 native",
        "io.containerd.metadata.v1 bolt",
        "io.containerd.grpc.v1 tasks",
      ]) {
        expect(`${needed} ${mine.get(needed)}`).toBe(`${needed} ${theirs.get(needed)}`);
      }
      await pair.same(["plugins", "ls", "id==overlayfs"]);
      await pair.same(["plugins", "ls", "id==none"]);
    });

    test("namespaces: create, ls, label, rm and their errors", async ({ same }) => {
      await same(["namespaces", "create", "one", "owner=me"]);
      await same(["namespaces", "create", "two"]);
      await same(["namespaces", "create", "two"]);
      await same(["namespaces", "create", "bad--name"]);
      await same(["namespaces", "create", ""]);
      await same(["namespaces", "create", "x".repeat(77)]);
      // Newer ones say the length as well.
      await same(["namespaces", "create", "labels", `long=${"x".repeat(4096)}`], {
        mask: /value( length \(\d+ bytes\))?(?= greater)/g,
      });
      await same(["namespaces", "label", "one", "owner=you", "more=x"]);
      await same(["namespaces", "label", "none", "a=b"]);
      await same(["namespaces", "ls"]);
      await same(["namespaces", "ls", "-q"]);
      await same(["namespaces", "label", "one", "owner="]);
      await same(["namespaces", "ls"]);
      await same(["namespaces", "rm", "two"]);
      await same(["namespaces", "rm", "two"]);
      await same(["-n", "one", "leases", "create", "--id", "keeps"]);
      await same(["namespaces", "rm", "one"]);
      await same(["-n", "one", "leases", "rm", "keeps"]);
      await same(["namespaces", "rm", "one"]);
      await same(["namespaces", "ls", "-q"]);
    });

    test("leases: create, ls, rm", async ({ same }) => {
      await same(["leases", "create", "--id", "first", "--expires", "1h", "a=b"]);
      await same(["leases", "create", "--id", "first"]);
      await same(["leases", "ls"], { mask: /containerd\.io\/gc\.expire=TIME/g });
      await same(["leases", "ls", "-q"]);
      await same(["leases", "ls", "id==first"]);
      await same(["leases", "ls", "labels.a==c"]);
      await same(["leases", "rm", "first"]);
      await same(["leases", "rm", "first"]);
      await same(["leases", "ls"]);
    });
  },
);
