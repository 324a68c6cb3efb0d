import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { TransferDefinition } from "@hull/api/gen/containerd/services/transfer/v1/transfer";
import { ImageStore } from "@hull/api/gen/containerd/types/transfer/imagestore";
import { ImageExportStream, ImageImportStream } from "@hull/api/gen/containerd/types/transfer/importexport";
import { OCIRegistry } from "@hull/api/gen/containerd/types/transfer/registry";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import type { PartialOf } from "@hull/api/rpc";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const store = (fields: PartialOf<typeof ImageStore>): Any =>
  encodeAny("containerd.types.transfer.ImageStore", ImageStore, fields);
const registry = (reference: string): Any =>
  encodeAny("containerd.types.transfer.OCIRegistry", OCIRegistry, { reference, resolver: { defaultScheme: "http" } });
const importStream = (stream: string): Any =>
  encodeAny("containerd.types.transfer.ImageImportStream", ImageImportStream, { stream });
const exportStream = (stream: string): Any =>
  encodeAny("containerd.types.transfer.ImageExportStream", ImageExportStream, { stream });

const target = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: `sha256:${"1".repeat(64)}`,
  size: 9n,
};

comparedService("transfer", (test) => {
  const transfer =
    (source: Any | undefined, destination: Any | undefined, options: object = {}) =>
    (client: Client) =>
      client.service(TransferDefinition).transfer({ source, destination, options });

  const image = (name: string, labels = {}) => ({
    name,
    labels,
    target: { ...target, size: "9n", annotations: {} },
    createdAt: "TIME",
    updatedAt: "TIME",
  });
  const told = (verb: "Create" | "Update", name: string, labels = {}) => ({
    topic: `/images/${verb.toLowerCase()}`,
    namespace: "default",
    event: { typeName: `containerd.services.images.v1.Image${verb}`, message: { name, labels } },
  });

  test("tags images", async (pair) => {
    const { same } = pair;
    const tag = (from: string, to: string, labels = {}) => transfer(store({ name: from }), store({ name: to, labels }));
    const done = { newer: {} };
    const images = [
      { name: "a", target },
      { name: "labelled", target, labels: { own: "label" } },
    ];
    for (const one of images) await pair.each((client) => client.service(ImagesDefinition).create({ image: one }));
    await pair.sameEvents(
      async () => {
        await same("to a new name", tag("a", "b"), done);
        await same("to one that is there", tag("a", "b"), done);
        await same("of one with labels", tag("labelled", "plain"), done);
        await same("with labels", tag("a", "c", { x: "y" }), done);
        await same("with other labels", tag("a", "c", { z: "w" }), done);
        await same("of none", tag("none", "d"), { newer: 'notFound: image "none"' });
        await same("to no name", tag("a", ""), { newer: "notFound: no image name found" });
        await same("from no name", tag("", "d"), { newer: 'notFound: image ""' });
      },
      {
        newer: [
          told("Create", "b"),
          told("Update", "b"),
          told("Create", "plain"),
          told("Create", "c", { x: "y" }),
          told("Update", "c", { z: "w" }),
        ],
      },
    );
    await same("all", (client) => client.service(ImagesDefinition).list({}), {
      newer: {
        images: [image("a"), image("b"), image("c", { z: "w" }), image("labelled", { own: "label" }), image("plain")],
      },
    });
    await same("in no namespace", (client) => tag("a", "b")(client.withNamespace("")), {
      newer: "failedPrecondition: namespace is required",
    });
  });

  test("refuses what can't be", async ({ same }) => {
    // containerd gives the errors of its parts as they are, here Unknown; hull tells what is the caller's fault.
    const b = store({ name: "b" });
    await same("nothing", transfer(undefined, undefined), { own: "invalidArgument: source is missing in the request" });
    await same("no destination", transfer(b, undefined), {
      own: "invalidArgument: destination is missing in the request",
    });
    const strange = { typeUrl: "example.com/x", value: Buffer.from("x") };
    const refused = (from: string, to: string) => `unimplemented: method Transfer not implemented for ${from} to ${to}`;
    await same("of a strange type", transfer(strange, b), {
      own: refused("example.com/x", "containerd.types.transfer.ImageStore"),
    });
    const remote = "containerd.types.transfer.OCIRegistry";
    await same("between registries", transfer(registry("localhost:1/a:1"), registry("localhost:1/b:1")), {
      newer: refused(remote, remote),
    });
    // containerd says "not found", and not what.
    const missing = { own: 'notFound: stream "none" not found' };
    await same("of a stream that isn't there", transfer(importStream("none"), b), missing);
    await same("to a stream that isn't there", transfer(b, exportStream("none")), missing);
    await same("between streams", transfer(importStream("none"), exportStream("none")), missing);
    await same("with progress that isn't there", transfer(b, b, { progressStream: "none" }), missing);
  });

  test("says of a registry that isn't there", async ({ same }) => {
    // Unknown to containerd: hull tells what may be tried again from what never works.
    const pull = (reference: string) => transfer(registry(reference), store({ name: "x" }));
    await same("pull", pull("localhost:1/a:1"), {
      own: 'unavailable: no answer from "http://localhost:1/v2/a/manifests/1": connection refused',
    });
    await same("pull of a bad reference", pull("A B"), {
      own: 'invalidArgument: reference "A B" has the malformed path component "A B"',
    });
    await same("pull of no reference", pull(""), { own: "invalidArgument: a reference must not be empty" });
  });
});
