import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { PartialOf } from "@hull/api/rpc";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const images = (client: Client) => client.service(ImagesDefinition);
const digestOf = (digit: string) => `sha256:${digit.repeat(64)}`;
const mediaType = "application/vnd.oci.image.index.v1+json";
const target = { mediaType, digest: digestOf("a"), size: 7n, annotations: { note: "1", "a.b": "c" } };
const longLabel = { mask: /value( length \(\d+ bytes\))?(?= greater)/g };

type Input = PartialOf<(typeof ImagesDefinition.methods.create)["requestType"]>["image"];

const crashes = { olderAlone: true };

comparedService("images", (test) => {
  const create = (image: Input) => (client: Client) => images(client).create({ image });

  test("create, with events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("create", create({ name: "docker.io/library/one:1", target, labels: { a: "b", empty: "" } }));
      await same("twice", create({ name: "docker.io/library/one:1", target }));
      await same("any name", create({ name: "any name: äöü !", target: { ...target, annotations: {} } }));
      await same("no image", (client) => images(client).create({}), crashes);
      await same("no name", create({ name: "", target }));
      await same("no target", create({ name: "bad" }), crashes);
      for (const digest of ["", "sha256", "sha256:abc", `sha256:${"g".repeat(64)}`, `md5:${"a".repeat(32)}`, "a:b:c"]) {
        await same(`digest "${digest}"`, create({ name: "bad", target: { ...target, digest } }));
      }
      await same(
        "another algorithm",
        create({ name: "sha512", target: { ...target, digest: `sha512:${"b".repeat(128)}` } }),
      );
      await same("no size", create({ name: "bad", target: { ...target, size: 0n } }));
      await same("negative size", create({ name: "bad", target: { ...target, size: -1n } }));
      await same("no media type", create({ name: "bad", target: { ...target, mediaType: "" } }));
      await same("long label", create({ name: "bad", target, labels: { long: "x".repeat(5000) } }), longLabel);
    });
  });

  test("get and list by filters", async ({ same }) => {
    await same("get", (client) => images(client).get({ name: "docker.io/library/one:1" }));
    await same("get none", (client) => images(client).get({ name: "none" }));
    await same("get nothing", (client) => images(client).get({ name: "" }));
    for (const filter of [
      "",
      "name==docker.io/library/one:1",
      "name~=one",
      "name~=/library/",
      "target.digest~=sha512",
      `target.digest==${digestOf("a")}`,
      `target.mediatype==${mediaType}`,
      `target.mediatype=="${mediaType}"`,
      "labels.a==b",
      "labels.empty",
      "annotations.note==1",
      'annotations."a.b"==c',
      "target.size==7",
      "unknown",
      "name==",
    ]) {
      await same(`list ${filter}`, (client) => images(client).list({ filters: [filter] }));
    }
    await same("list", (client) => images(client).list({}));
    await same("list in another namespace", (client) => images(client.withNamespace("other")).list({}));
  });

  test("update, by masks, with events", async (pair) => {
    const { same } = pair;
    const name = "docker.io/library/one:1";
    const update =
      (image: Input, ...updateMask: string[]) =>
      (client: Client) =>
        images(client).update({ image: { target, ...image }, updateMask });
    await pair.sameEvents(async () => {
      await same("no image", (client) => images(client).update({}), crashes);
      await same("no name", update({ target }));
      await same("none", update({ name: "none", target }));
      await same("none by mask", update({ name: "none" }, "labels"));
      await same("labels", update({ name, labels: { x: "1", y: "2" } }, "labels"));
      await same("one label", update({ name, labels: { x: "3", z: "4" } }, "labels.x"));
      await same("one label away", update({ name }, "labels.x"));
      await same("target", update({ name, target: { ...target, digest: digestOf("c") } }, "target"));
      await same("empty target", update({ name, target: undefined }, "target"), crashes);
      await same("annotations", update({ name, target: { annotations: { k: "v" } } }, "annotations"));
      await same("one annotation", update({ name, target: { annotations: { "k.l": "w" } } }, "annotations.k.l"));
      for (const path of ["name", "created_at", "target.digest", "nothing", ""]) {
        await same(`mask ${path}`, update({ name, target }, path));
      }
      await same("without a mask", update({ name, target, labels: { all: "new" } }));
      await same("without mask or target", update({ name, target: undefined }), crashes);
      await same("long label", update({ name, target, labels: { long: "x".repeat(5000) } }), longLabel);
      await same("what is left", (client) => images(client).get({ name }));
    });
  });

  test("delete, with events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("delete", (client) => images(client).delete({ name: "docker.io/library/one:1" }));
      await same("twice", (client) => images(client).delete({ name: "docker.io/library/one:1" }));
      await same("at once", (client) => images(client).delete({ name: "sha512", sync: true }));
      await same("nothing", (client) => images(client).delete({ name: "" }));
      await same("what is left", (client) => images(client).list({}));
    });
  });

  test("namespaces that are missing or malformed", async ({ same }) => {
    for (const namespace of ["", "bad--name"]) {
      const inIt = (client: Client) => images(client.withNamespace(namespace));
      await same(`get in "${namespace}"`, (client) => inIt(client).get({ name: "a" }));
      await same(`list in "${namespace}"`, (client) => inIt(client).list({}));
      await same(`create in "${namespace}"`, (client) => inIt(client).create({ image: { name: "a", target } }));
      await same(`update in "${namespace}"`, (client) => inIt(client).update({ image: { name: "a", target } }));
      await same(`delete in "${namespace}"`, (client) => inIt(client).delete({ name: "a" }));
    }
  });
});
