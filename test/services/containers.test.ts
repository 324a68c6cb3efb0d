import type { Container } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const containers = (client: Client) => client.service(ContainersDefinition);
const any = (typeUrl: string, text = "") => ({ typeUrl, value: Buffer.from(text) });
const spec = any("types.containerd.io/opencontainers/runtime-spec/1/Spec", '{"ociVersion":"1.0.2"}');
const runtime = { name: "io.containerd.runc.v2", options: any("containerd.runc.v1.Options") };
const bare = { runtime, spec };

const crashes = { olderAlone: true };

comparedService("containers", (test) => {
  const made = (container: Partial<Container>) => (client: Client) => containers(client).create({ container });

  const noSpec = (what: string): string => `invalidArgument: ${what}: container.Spec must be set`;

  test("create, with its events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("bare", made({ ...bare, id: "bare" }));
      await same(
        "whole",
        made({
          ...bare,
          id: "whole",
          labels: { a: "b", "dotted.key/x": "y", empty: "" },
          image: "docker.io/library/none:1",
          snapshotter: "overlayfs",
          snapshotKey: "whole",
          extensions: { one: any("type.one", "1"), "two.dots": any("type.two", "2") },
        }),
      );
      await same("twice", made({ ...bare, id: "bare" }));
      await same("no container", (client) => containers(client).create({}), crashes);
      for (const id of ["", "-a", "a-", "a--b", "a/b", "a b", "ä", "x".repeat(76), "x".repeat(77)]) {
        await same(`id "${id}"`, made({ ...bare, id }));
      }
      await same("no runtime", made({ id: "bad", spec }));
      await same("no runtime name", made({ id: "bad", spec, runtime: { name: "", options: undefined } }));
      // The newer one has forgotten this check, and then can't run the container.
      await same("no spec", made({ id: "bad", runtime }), {
        own: noSpec("create container failed validation"),
        olderAlone: true,
      });
      await same("key without snapshotter", made({ ...bare, id: "bad", snapshotKey: "k" }));
      await same("snapshotter without key", made({ ...bare, id: "nokey", snapshotter: "overlayfs" }));
      await same("empty extension key", made({ ...bare, id: "bad", extensions: { "": any("t", "1") } }));
      await same("long label", made({ ...bare, id: "bad", labels: { long: "x".repeat(4093) } }), {
        mask: /value( length \(\d+ bytes\))?(?= greater)/g,
      });
      await same("label as long as can be", made({ ...bare, id: "long", labels: { long: "x".repeat(4092) } }));
      await same("unknown runtime", made({ ...bare, id: "strange", runtime: { name: "nowhere", options: undefined } }));
    });
  });

  test("get and list, by filters and as a stream", async (pair) => {
    const { same } = pair;
    await same("get", (client) => containers(client).get({ id: "whole" }));
    await same("get none", (client) => containers(client).get({ id: "none" }));
    await same("get nothing", (client) => containers(client).get({ id: "" }));
    await same("get in a namespace of another", (client) =>
      containers(client.withNamespace("other")).get({ id: "bare" }),
    );
    const filterings: readonly (readonly string[])[] = [
      [],
      [""],
      ["id==bare"],
      ["id==bare", "id==whole"],
      ["id!=bare,labels.a"],
      ["labels.a==b"],
      ['labels."dotted.key/x"==y'],
      ["labels.empty"],
      ["labels.long!=1"],
      ["image~=^docker"],
      ["image"],
      ["runtime.name~=runc"],
      ["runtime.options"],
      ["unknown"],
      ["unknown!=1"],
      ["id~=/^b.*e$/"],
      ['id=="ba\\x72e"'],
      ["labels.a=="],
      ['labels.a==""'],
    ];
    for (const filters of filterings) {
      await same(`list ${filters.join(" or ")}`, (client) => containers(client).list({ filters: [...filters] }));
    }
    // containerd takes it and finds nothing.
    await same("a bad pattern", (client) => containers(client).list({ filters: ["id~=("] }), {
      own: 'invalidArgument: filters: "(" is not a regular expression of RE2: error parsing regexp: missing closing ): `(`',
    });
    for (const filter of ["id=", "==", ",", "id==a,", "id=='a'", 'id=="a', "id==a b", "a..b", "!"]) {
      await same(`list ${filter}`, (client) => containers(client).list({ filters: [filter] }));
    }
    await same("list another namespace", (client) => containers(client.withNamespace("other")).list({}));
    await same("stream", (client) => containers(client).listStream({ filters: ["id==bare"] }));
    await same("stream with a bad filter", (client) => containers(client).listStream({ filters: ["id="] }));
  });

  test("update, by masks, with its events", async (pair) => {
    const { same } = pair;
    const update =
      (container: Partial<Container>, ...paths: string[]) =>
      (client: Client) =>
        containers(client).update({ container, updateMask: paths });
    await pair.sameEvents(async () => {
      await same("no container", (client) => containers(client).update({}), crashes);
      await same("no id", update({ ...bare }));
      await same("none", update({ ...bare, id: "none" }));
      await same("labels", update({ id: "bare", labels: { x: "1", y: "2" } }, "labels"));
      await same("one label", update({ id: "bare", labels: { x: "3", z: "4" } }, "labels.x"));
      await same("one label away", update({ id: "bare", labels: {} }, "labels.x"));
      await same("empty label", update({ id: "bare", labels: { y: "" } }, "labels.y"));
      await same("spec", update({ id: "bare", spec: any("other", "{}") }, "spec"));
      await same("no spec", update({ id: "bare" }, "spec"), {
        own: noSpec("update failed validation"),
        olderAlone: true,
      });
      await same("extensions", update({ id: "bare", extensions: { e: any("t", "1") } }, "extensions"));
      await same("one extension", update({ id: "bare", extensions: { e: any("t", "9") } }, "extensions.e"));
      await same("one extension away", update({ id: "bare", extensions: { e: any("t", "") } }, "extensions.e"));
      await same("image", update({ id: "bare", image: "other" }, "image"));
      await same("snapshot key alone", update({ id: "bare", snapshotKey: "k" }, "snapshotkey"));
      await same("snapshot key", update({ id: "whole", snapshotKey: "k" }, "snapshotkey"));
      for (const path of [
        "snapshot_key",
        "snapshotter",
        "runtime",
        "runtime.name",
        "id",
        "created_at",
        "nothing",
        "",
        "label",
      ]) {
        await same(`mask ${path}`, update({ id: "bare" }, path));
      }
      await same("several", update({ id: "bare", image: "third", labels: { k: "v" } }, "image", "labels.k"));
      await same("several, one bad", update({ id: "bare", image: "fourth" }, "image", "bad"));
      await same("long label", update({ id: "bare", labels: { long: "x".repeat(5000) } }, "labels"), {
        mask: /value( length \(\d+ bytes\))?(?= greater)/g,
      });
      await same("without a mask", update({ ...bare, id: "bare", labels: { all: "new" }, image: "fifth" }));
      await same("another runtime", update({ ...bare, id: "bare", runtime: { ...runtime, name: "other" } }));
      await same("another snapshotter", update({ ...bare, id: "whole", snapshotter: "native" }));
      await same("without spec or mask", update({ id: "bare", runtime }), {
        own: noSpec("update failed validation"),
        olderAlone: true,
      });
      const e = { e: any("t", "1") };
      await same("with extensions", update({ ...bare, id: "bare", labels: { all: "new" }, extensions: e }));
      await same("what is left", (client) => containers(client).get({ id: "bare" }));
    });
  });

  test("delete, with its events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("delete", (client) => containers(client).delete({ id: "bare" }));
      await same("twice", (client) => containers(client).delete({ id: "bare" }));
      await same("nothing", (client) => containers(client).delete({ id: "" }));
      await same("what is left", (client) => containers(client).list({}));
    });
  });

  test("namespaces that are missing or malformed", async ({ same }) => {
    for (const namespace of ["", "bad--name", "a/b", "x".repeat(77)]) {
      const inIt = (client: Client) => containers(client.withNamespace(namespace));
      await same(`get in "${namespace}"`, (client) => inIt(client).get({ id: "a" }));
      await same(`list in "${namespace}"`, (client) => inIt(client).list({}));
      await same(`create in "${namespace}"`, (client) => inIt(client).create({ container: { ...bare, id: "a" } }));
      await same(`update in "${namespace}"`, (client) => inIt(client).update({ container: { ...bare, id: "a" } }));
      await same(`delete in "${namespace}"`, (client) => inIt(client).delete({ id: "a" }));
    }
  });
});
