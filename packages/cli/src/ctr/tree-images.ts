import { type Command, command } from "../command/index.ts";
import * as flags from "./flags.ts";
import { missing, removeAliases } from "./tree.ts";
import * as parts from "./tree-image-parts.ts";

/** `ctr images`. */

export const images: Command = {
  name: "images",
  aliases: ["image", "i"],
  summary: "manage images",
  commands: [
    command({
      name: "check",
      summary: "check existing images to ensure all content is available locally",
      usage: "[flags] [<filter>, ...]",
      description: "check existing images to ensure all content is available locally",
      flags: flags.imagesCheck,
      load: async () => (await import("./images-check.ts")).checkImages,
    }),
    parts.exportImages,
    command({
      name: "import",
      summary: "import images",
      usage: "[flags] <in>",
      description: `Import images from a tar stream.
Implemented formats:
- oci.v1
- docker.v1.1
- docker.v1.2


For OCI v1, you may need to specify --base-name because an OCI archive may
contain only partial image references (tags without the base image name).
If no base image name is provided, a name will be generated as "import-%{yyyy-MM-dd}".

e.g.
  $ ctr images import --base-name foo/bar foobar.tar

If foobar.tar contains an OCI ref named "latest" and anonymous ref "sha256:deadbeef", the command will create
"foo/bar:latest" and "foo/bar@sha256:deadbeef" images in the containerd store.
`,
      flags: flags.imagesImport,
      load: async () => (await import("./images-transfer.ts")).importArchive,
    }),
    command({
      name: "list",
      aliases: ["ls"],
      summary: "list images known to containerd",
      usage: "[flags] [<filter>, ...]",
      description: "list images registered with containerd",
      flags: flags.imagesList,
      load: async () => (await import("./images.ts")).listImages,
    }),
    parts.mount,
    parts.unmount,
    command({
      name: "pull",
      summary: "pull an image from a remote",
      usage: "[flags] <ref>",
      description: `Fetch and prepare an image for use in containerd.

After pulling an image, it should be ready to use the same reference in a run
command. As part of this process, we do the following:

1. Fetch all resources into containerd.
2. Prepare the snapshot filesystem with the pulled resources.
3. Register metadata for the image.
`,
      flags: flags.imagesPull,
      load: async () => (await import("./images-transfer.ts")).pull,
    }),
    parts.push,
    command({
      name: "delete",
      aliases: removeAliases,
      summary: "remove one or more images by reference",
      usage: "[flags] <ref> [<ref>, ...]",
      description: "remove one or more images by reference",
      flags: flags.imagesRemove,
      load: async () => (await import("./images.ts")).removeImages,
    }),
    command({
      name: "tag",
      summary: "tag an image",
      usage: "[flags] <source_ref> <target_ref> [<target_ref>, ...]",
      description: "Tag an image for use in containerd.\n",
      flags: flags.imagesTag,
      load: async () => (await import("./images.ts")).tagImage,
    }),
    command({
      name: "label",
      summary: "set and clear labels for an image",
      usage: "[flags] <name> [<key>=<value>, ...]",
      description: "set and clear labels for an image",
      flags: flags.imagesLabel,
      load: async () => (await import("./images.ts")).labelImage,
    }),
    parts.convert,
    parts.inspect,
    parts.prune,
    parts.usage,
    missing(
      "build-erofs-cache",
      "build EROFS layers of an image",
      "not supported by hull: containerd has it not released yet",
    ),
  ],
};
