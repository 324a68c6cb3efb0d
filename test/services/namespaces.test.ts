import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Client } from "@hull/client/client";
import { writeBlob } from "../support/blobs.ts";
import { comparedService } from "../support/services.ts";

const namespaces = (client: Client) => client.service(NamespacesDefinition);
const longLabel = { mask: /value( length \(\d+ bytes\))?(?= greater)/g };

const crashes = { olderAlone: true };

comparedService("namespaces", (test) => {
  const create =
    (name: string, labels: Record<string, string> = {}) =>
    (client: Client) =>
      namespaces(client).create({ namespace: { name, labels } });
  const update =
    (name: string, labels: Record<string, string>, ...updateMask: string[]) =>
    (client: Client) =>
      namespaces(client).update({ namespace: { name, labels }, updateMask });

  test("create, get and list, with events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("create", create("one", { owner: "me", empty: "" }));
      await same("twice", create("one"));
      await same("without labels", create("two"));
      await same("no namespace", (client) => namespaces(client).create({}), crashes);
      for (const name of ["", "bad--name", "-a", "a/b", "x".repeat(77)]) await same(`name "${name}"`, create(name));
      await same("long label", create("three", { long: "x".repeat(5000) }), longLabel);
      await same("get", (client) => namespaces(client).get({ name: "one" }));
      await same("get none", (client) => namespaces(client).get({ name: "none" }));
      await same("get nothing", (client) => namespaces(client).get({ name: "" }));
      await same("get malformed", (client) => namespaces(client).get({ name: "bad--name" }));
      await same("list", (client) => namespaces(client).list({}));
      await same("list by a filter, which nobody reads", (client) => namespaces(client).list({ filter: "name==one" }));
    });
  });

  test("update, with events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      const answer = (name: string, labels: Record<string, string>) => ({ own: { namespace: { name, labels } } });
      await same("one label", update("one", { a: "3", c: "4" }, "labels.a"), answer("one", { owner: "me", a: "3" }));
      await same("one label away", update("one", {}, "labels.a"), answer("one", { owner: "me" }));
      await same("two labels", update("one", { a: "1", b: "2" }, "labels.a", "labels.b"), {
        ...answer("one", { owner: "me", a: "1", b: "2" }),
      });
      await same("without a mask", update("one", { all: "new" }), answer("one", { all: "new" }));
      await same("empty label", update("one", { all: "" }), answer("one", {}));
      await same("bad mask", update("one", {}, "name"));
      await same("bad mask", update("one", { x: "y" }, "labels.x", "nothing"));
      await same("none", update("none", { a: "b" }), answer("none", { a: "b" }));
      await same("none by label", update("another", { a: "b" }, "labels.a"), answer("another", { a: "b" }));
      await same("long label", update("one", { long: "x".repeat(5000) }, "labels.long"), {
        ...longLabel,
        own: "invalidArgument: namespace.Labels: label key and … greater than maximum size (4096 bytes), key: long",
      });
      await same("what is left", (client) => namespaces(client).list({}));
    });
    // containerd takes a nameless one, gives no namespace back and doesn't know the mask "labels".
    await same("no namespace", (client) => namespaces(client).update({}), {
      own: "invalidArgument: identifier must not be empty",
      olderAlone: true,
    });
    await same("all labels", update("one", { a: "1" }, "labels"), {
      own: { namespace: { name: "one", labels: { a: "1" } } },
    });
  });

  test("delete only what is empty, with events", async (pair) => {
    const { same } = pair;
    const inIt = (client: Client) => client.withNamespace("full");
    const spec = { typeUrl: "t", value: Buffer.from("{}") };
    const digest = `sha256:${"a".repeat(64)}`;
    const target = { mediaType: "application/vnd.oci.image.index.v1+json", digest, size: 1n };
    await pair.sameEvents(async () => {
      await same("create", create("full"));
      await pair.each(async (client) => {
        await inIt(client).service(LeasesDefinition).create({ id: "lease" });
        await inIt(client)
          .service(ImagesDefinition)
          .create({ image: { name: "image", target } });
        await inIt(client)
          .service(ContainersDefinition)
          .create({ container: { id: "c", runtime: { name: "r" }, spec } });
        // Under the lease, or the collector may take them first.
        const leased = inIt(client).withLeaseId("lease");
        await leased.service(SnapshotsDefinition).prepare({ snapshotter: "native", key: "s" });
        await writeBlob(leased, "blob");
      });
      const remove = (client: Client) => namespaces(client).delete({ name: "full" });
      await same("full", remove);
      await pair.each((client) => inIt(client).service(ImagesDefinition).delete({ name: "image" }));
      await same("without images", remove);
      await pair.each((client) => inIt(client).service(ContainersDefinition).delete({ id: "c" }));
      await same("without containers", remove);
      await pair.each((client) =>
        inIt(client).service(SnapshotsDefinition).remove({ snapshotter: "native", key: "s" }),
      );
      await same("without snapshots", remove);
      await pair.each(async (client) => {
        const content = inIt(client).service(ContentDefinition);
        for await (const { info } of content.list({})) for (const { digest } of info) await content.delete({ digest });
      });
      await same("with a lease alone", remove);
      await same("twice", remove);
      await same("nothing", (client) => namespaces(client).delete({ name: "" }));
      await same("malformed", (client) => namespaces(client).delete({ name: "bad--name" }));
      await same("leases are gone with it", (client) => inIt(client).service(LeasesDefinition).list({}));
    });
  });
});
