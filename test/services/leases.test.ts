import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import type { Client } from "@hull/client/client";
import { writeBlob } from "../support/blobs.ts";
import { comparedService } from "../support/services.ts";

const leases = (client: Client) => client.service(LeasesDefinition);
const digest = `sha256:${"a".repeat(64)}`;
const longLabel = { mask: /value( length \(\d+ bytes\))?(?= greater)/g };

comparedService("leases", (test) => {
  test("create, list and delete", async (pair) => {
    const { same } = pair;
    const create =
      (id: string, labels: Record<string, string> = {}) =>
      (client: Client) =>
        leases(client).create({ id, labels });
    await pair.sameEvents(async () => {
      await same("create", create("one", { a: "b", empty: "" }));
      await same("twice", create("one"));
      await same("with a random id", create(""), { mask: /^\d+-[\w-]{4}$/ });
      for (const id of ["bad--id", "a/b", "a b", "x".repeat(200)]) await same(`id "${id}"`, create(id));
      // As everywhere else; containerd has no limit here.
      await same("long label", create("long", { long: "x".repeat(5000) }), {
        ...longLabel,
        own: "invalidArgument: lease.Labels: label key and … greater than maximum size (4096 bytes), key: long",
      });
      await same("expired", create("old", { "containerd.io/gc.expire": "2001-01-01T00:00:00Z" }));
      await same("bad time", create("badtime", { "containerd.io/gc.expire": "tomorrow" }));
      for (const filter of ["id==one", "labels.a==b", "labels.empty", "id!=one,labels.a", "unknown", "id="]) {
        await same(`list ${filter}`, (client) => leases(client).list({ filters: [filter] }));
      }
      await same("delete", (client) => leases(client).delete({ id: "one" }));
      await same("twice", (client) => leases(client).delete({ id: "one" }));
      await same("at once", (client) => leases(client).delete({ id: "badtime", sync: true }));
      await same("none at once", (client) => leases(client).delete({ id: "none", sync: true }));
      await same("nothing", (client) => leases(client).delete({ id: "" }));
      await same("list in another namespace", (client) => leases(client.withNamespace("other")).list({}));
    });
  });

  test("resources", async ({ same }) => {
    const add = (id: string, resource?: { id: string; type: string }) => (client: Client) =>
      leases(client).addResource({ id, resource });
    const remove = (id: string, resource?: { id: string; type: string }) => (client: Client) =>
      leases(client).deleteResource({ id, resource });
    const list = (id: string) => (client: Client) => leases(client).listResources({ id });
    await same("create", (client) => leases(client).create({ id: "res" }));
    // containerd says no more than what its database does.
    for (const resource of [
      { type: "snapshots/", id: "key", own: "invalid snapshot resource type snapshots/" },
      { type: "snapshots/overlayfs", id: "", own: "the id of a snapshots/overlayfs resource must not be empty" },
      { type: "ingests", id: "", own: "the id of a ingests resource must not be empty" },
    ]) {
      await same(`add ${resource.type} ${resource.id}`, add("res", resource), {
        own: `invalidArgument: ${resource.own}`,
      });
    }
    await same("add an image", add("res", { type: "images", id: "name" }), { newer: {} });
    await same("remove an image", remove("res", { type: "images", id: "name" }), { newer: {} });
    for (const resource of [
      { type: "content", id: digest },
      { type: "content", id: "nodigest" },
      { type: "content", id: "" },
      { type: "content/x", id: digest },
      { type: "snapshots/overlayfs", id: "key" },
      { type: "snapshots/none", id: "key" },
      { type: "snapshots", id: "key" },
      { type: "snapshots/a/b", id: "key" },
      { type: "ingests", id: "ref" },
      { type: "ingests/x", id: "ref" },
      { type: "snapshotter/overlayfs", id: "key" },
      { type: "", id: "key" },
      { type: "nothing", id: "" },
    ]) {
      await same(`add ${resource.type} ${resource.id}`, add("res", resource));
      await same(`add again ${resource.type} ${resource.id}`, add("res", resource));
      await same(`remove ${resource.type} ${resource.id}`, remove("other", resource));
    }
    await same("add to none", add("none", { type: "content", id: digest }));
    await same("list", list("res"));
    await same("list none", list("none"));
    await same("list nothing", list(""));
    await same("remove", remove("res", { type: "content", id: digest }));
    await same("remove again", remove("res", { type: "content", id: digest }));
    await same("remove a snapshot", remove("res", { type: "snapshots/overlayfs", id: "key" }));
    await same("remove of none", remove("none", { type: "content", id: digest }));
    await same("list", list("res"));
  });

  test("what a call under a lease makes belongs to it", async (pair) => {
    const { same } = pair;
    const filters = ['topic=="/snapshot/prepare"', 'topic=="/content/create"', "topic~=|^/images/|"];
    const work = async (): Promise<void> => {
      await pair.each((client) => leases(client).create({ id: "work" }));
      await same("blob", (client) => writeBlob(client.withLeaseId("work"), "leased"));
      await same(
        "snapshot",
        (client) =>
          client.withLeaseId("work").service(SnapshotsDefinition).prepare({ snapshotter: "native", key: "leased" }),
        { mask: /\/snapshots\/\d+$/ },
      );
      await same("resources", (client) => leases(client).listResources({ id: "work" }));
      await same("blob without a lease of that name", (client) => writeBlob(client.withLeaseId("none"), "unleased"));
      await same("snapshot without a lease of that name", (client) =>
        client.withLeaseId("none").service(SnapshotsDefinition).prepare({ snapshotter: "native", key: "unleased" }),
      );
      const target = { mediaType: "application/vnd.oci.image.index.v1+json", digest, size: 7n };
      await same("image without a lease of that name", (client) =>
        client
          .withLeaseId("none")
          .service(ImagesDefinition)
          .create({ image: { name: "unleased", target } }),
      );
      await same("collected with it", (client) => leases(client).delete({ id: "work", sync: true }));
      await same("gone", (client) =>
        client.service(SnapshotsDefinition).stat({ snapshotter: "native", key: "leased" }),
      );
    };
    // The older one doesn't tell what it collects, and neither what blobs.
    await pair.sameEvents(work, { filters });
  });
});
