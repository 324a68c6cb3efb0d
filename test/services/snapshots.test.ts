import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const snapshots = (client: Client) => client.service(SnapshotsDefinition);

/** Mounts whose options come in another order with another version: their meaning doesn't depend on it. */
const sorted = async (answer: Promise<{ mounts: Mount[] }>): Promise<unknown> =>
  (await answer).mounts.map((mount) => ({ ...mount, options: mount.options.sort() }));

const longLabel = { mask: /value( length \(\d+ bytes\))?(?= greater)/g };
/** Names of directories, and what the snapshotters and versions of containerd say each in its own way. */
const numbers = {
  mask: /(?<=\/snapshots\/)\d+|(?<=failed to commit snapshot) \w+(?=:)|(?<=failed to get )(active|snapshot)(?= mount)/g,
};

for (const snapshotter of ["overlayfs", "native"]) {
  comparedService(`snapshots, ${snapshotter}`, (test) => {
    const on = { snapshotter };

    test("prepare, view, commit and remove, with events", async (pair) => {
      const { same } = pair;
      const labels = { "containerd.io/gc.root": "true" };
      await pair.sameEvents(async () => {
        await same(
          "prepare",
          (c) => sorted(snapshots(c).prepare({ ...on, key: "a1", labels: { ...labels, empty: "" } })),
          numbers,
        );
        await same("twice", (c) => sorted(snapshots(c).prepare({ ...on, key: "a1" })), numbers);
        await same("mounts", (c) => sorted(snapshots(c).mounts({ ...on, key: "a1" })), numbers);
        await same("commit", (c) =>
          snapshots(c).commit({ ...on, name: "c1", key: "a1", labels: { ...labels, x: "y" } }),
        );
        await same("commit again", (c) => snapshots(c).commit({ ...on, name: "c2", key: "a1" }), numbers);
        await same("mounts of what is committed", (c) => sorted(snapshots(c).mounts({ ...on, key: "c1" })), numbers);
        await same("on it", (c) => sorted(snapshots(c).prepare({ ...on, key: "a2", parent: "c1", labels })), numbers);
        await same("view", (c) => sorted(snapshots(c).view({ ...on, key: "v1", parent: "c1", labels })), numbers);
        await same("view of nothing", (c) => sorted(snapshots(c).view({ ...on, key: "v0", labels })), numbers);
        // The older native snapshotter looks for files first, and finds none.
        await same("commit a view", (c) => snapshots(c).commit({ ...on, name: "cv", key: "v1" }), {
          own: 'failedPrecondition: failed to commit snapshot: snapshot "v1" is not active',
        });
        await same(
          "on an active one",
          (c) => sorted(snapshots(c).prepare({ ...on, key: "a3", parent: "a2" })),
          numbers,
        );
        await same(
          "view of an active one",
          (c) => sorted(snapshots(c).view({ ...on, key: "v3", parent: "a2" })),
          numbers,
        );
        await same("on none", (c) => sorted(snapshots(c).prepare({ ...on, key: "a3", parent: "none" })), numbers);
        await same("view of none", (c) => sorted(snapshots(c).view({ ...on, key: "v3", parent: "none" })), numbers);
        await same(
          "commit under a name that is taken",
          (c) => snapshots(c).commit({ ...on, name: "c1", key: "a2" }),
          numbers,
        );
        await same("commit none", (c) => snapshots(c).commit({ ...on, name: "c3", key: "none" }), numbers);
        await same("commit the second", (c) => snapshots(c).commit({ ...on, name: "c2", key: "a2", labels }));
        await same(
          "view of two",
          (c) => sorted(snapshots(c).view({ ...on, key: "v2", parent: "c2", labels })),
          numbers,
        );
        await same("on two", (c) => sorted(snapshots(c).prepare({ ...on, key: "a4", parent: "c2", labels })), numbers);
        await same(
          "long label",
          (c) => snapshots(c).prepare({ ...on, key: "l", labels: { l: "x".repeat(5000) } }),
          longLabel,
        );
        await same("remove one with children", (c) => snapshots(c).remove({ ...on, key: "c2" }), numbers);
        await same("remove none", (c) => snapshots(c).remove({ ...on, key: "none" }), numbers);
        await same("remove a view", (c) => snapshots(c).remove({ ...on, key: "v2" }));
        await same("remove an active one", (c) => snapshots(c).remove({ ...on, key: "a4" }));
        await same("mounts of none", (c) => sorted(snapshots(c).mounts({ ...on, key: "none" })), numbers);
      });
    });

    test("stat, list, update and usage", async ({ same }) => {
      for (const key of ["c1", "c2", "v1", "none", "", "a1"]) {
        await same(`stat "${key}"`, (c) => snapshots(c).stat({ ...on, key }), numbers);
      }
      for (const key of ["none", ""])
        await same(`usage of "${key}"`, (c) => snapshots(c).usage({ ...on, key }), numbers);
      for (const filter of ["", "kind==committed", "kind==view", "name==c1", "parent==c1", "labels.x==y", "unknown"]) {
        await same(`list ${filter}`, (c) => snapshots(c).list({ ...on, filters: [filter] }), numbers);
      }
      // A slip of containerd, harmless to its clients: a filter that doesn't parse is Unknown here alone.
      await same("list by a bad filter", (c) => snapshots(c).list({ ...on, filters: ["name="] }), {
        own: { messages: [], error: 'invalidArgument: filters: parse error: [name >|=|< ]: unsupported operator "="' },
      });
      const update =
        (name: string, labels: Record<string, string>, ...updateMask: string[]) =>
        (c: Client) =>
          snapshots(c).update({ ...on, info: { name, labels }, updateMask });
      const root = { "containerd.io/gc.root": "true" };
      await same("update labels", update("v1", { ...root, x: "1", y: "2" }, "labels"));
      await same("update one label", update("v1", { x: "3", z: "4" }, "labels.x"));
      await same("update one label away", update("v1", {}, "labels.x"));
      await same("update all", update("v1", { ...root, all: "new", empty: "" }));
      await same("update by a bad mask", update("v1", {}, "kind"));
      await same("update by a bad mask", update("v1", { q: "r" }, "labels.q", "name"));
      await same("update a long label", update("v1", { long: "x".repeat(5000) }, "labels.long"), longLabel);
      await same("update none", update("none", { a: "b" }));
      await same("what is left", (c) => snapshots(c).stat({ ...on, key: "v1" }));
    });

    test("clean up, and snapshotters that are not there", async ({ same }) => {
      // containerd can't, since the layer that keeps its records has no such method.
      await same("clean up", (c) => snapshots(c).cleanup(on), { own: {} });
      for (const snapshotter of ["", "none"]) {
        const there = { snapshotter };
        await same(`prepare on "${snapshotter}"`, (c) => snapshots(c).prepare({ ...there, key: "k" }));
        await same(`view on "${snapshotter}"`, (c) => snapshots(c).view({ ...there, key: "k" }));
        await same(`mounts on "${snapshotter}"`, (c) => snapshots(c).mounts({ ...there, key: "k" }));
        await same(`commit on "${snapshotter}"`, (c) => snapshots(c).commit({ ...there, key: "k", name: "n" }));
        await same(`remove on "${snapshotter}"`, (c) => snapshots(c).remove({ ...there, key: "k" }));
        await same(`stat on "${snapshotter}"`, (c) => snapshots(c).stat({ ...there, key: "k" }));
        await same(`update on "${snapshotter}"`, (c) => snapshots(c).update({ ...there, info: { name: "k" } }));
        await same(`list on "${snapshotter}"`, (c) => snapshots(c).list(there));
        await same(`usage on "${snapshotter}"`, (c) => snapshots(c).usage({ ...there, key: "k" }));
        await same(`clean up on "${snapshotter}"`, (c) => snapshots(c).cleanup(there));
      }
    });

    test("namespaces that are missing or malformed", async ({ same }) => {
      const pattern = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";
      const malformed = `namespace validation: identifier "bad--name" must match ${pattern}`;
      for (const [namespace, error] of [
        ["", "failedPrecondition: namespace is required"],
        ["bad--name", `invalidArgument: ${malformed}`],
      ] as const) {
        const inIt = (client: Client) => snapshots(client.withNamespace(namespace));
        await same(`prepare in "${namespace}"`, (c) => inIt(c).prepare({ ...on, key: "k" }));
        await same(`stat in "${namespace}"`, (c) => inIt(c).stat({ ...on, key: "k" }));
        await same(`remove in "${namespace}"`, (c) => inIt(c).remove({ ...on, key: "k" }));
        // The same slip: Unknown in containerd.
        await same(`list in "${namespace}"`, (c) => inIt(c).list(on), { own: { messages: [], error } });
      }
    });
  });
}
