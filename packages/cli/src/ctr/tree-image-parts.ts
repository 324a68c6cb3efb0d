import { type Command, command } from "../command/index.ts";
import * as flags from "./flags.ts";

/** The commands of `ctr images` and `ctr content` that move images, or show and change what they are made of. */

export const exportImages: Command = command({
  name: "export",
  summary: "export images",
  usage: "[flags] <out> <image> ...",
  description: `Export images to an OCI tar archive.

Tar output is formatted as an OCI archive, a Docker manifest is provided for the platform.
Use '--skip-manifest-json' to avoid including the Docker manifest.json file.
Use '--platform' to define the output platform.
When '--all-platforms' is given all images in a manifest list must be available.
`,
  flags: flags.imagesExport,
  load: async () => (await import("./images-transfer.ts")).exportArchive,
});

export const push: Command = command({
  name: "push",
  summary: "push an image to a remote",
  usage: "[flags] <remote> [<local>]",
  description: `Pushes an image reference from containerd.

  All resources associated with the manifest reference will be pushed.
  The ref is used to resolve to a locally existing image manifest.
  The image manifest must exist before push. Creating a new image
  manifest can be done through calculating the diff for layers,
  creating the associated configuration, and creating the manifest
  which references those resources.
`,
  flags: flags.imagesPush,
  load: async () => (await import("./images-transfer.ts")).push,
});

export const mount: Command = command({
  name: "mount",
  summary: "mount an image to a target path",
  usage: "[flags] <ref> <target>",
  description: `Mount an image rootfs to a specified path.

When you are done, use the unmount command.
`,
  flags: flags.imagesMount,
  load: async () => (await import("./images-mount.ts")).mountImage,
});

export const unmount: Command = command({
  name: "unmount",
  summary: "unmount the image from the target",
  usage: "[flags] <target>",
  description: "Unmount the image rootfs from the specified target.",
  flags: flags.imagesUnmount,
  load: async () => (await import("./images-mount.ts")).unmountImage,
});

export const inspect: Command = command({
  name: "inspect",
  aliases: ["i"],
  summary: "inspect an image",
  usage: "<image> [flags]",
  description: "Inspect an image",
  flags: flags.imagesInspect,
  load: async () => (await import("./images-inspect.ts")).inspectImage,
});

export const prune: Command = command({
  name: "prune",
  summary: "remove unused images",
  flags: flags.imagesPrune,
  load: async () => (await import("./images-prune.ts")).pruneImages,
});

export const usage: Command = command({
  name: "usage",
  summary: "display usage of snapshots for a given image ref",
  usage: "[flags] <ref>",
  flags: flags.imagesUsage,
  load: async () => (await import("./images-usage.ts")).imageUsage,
});

export const convert: Command = command({
  name: "convert",
  summary: "convert an image",
  usage: "[flags] <source_ref> <target_ref>",
  description: `Convert an image format.

e.g., 'ctr convert --uncompress --oci example.com/foo:orig example.com/foo:converted'

Use '--platform' to define the output platform.
When '--all-platforms' is given all images in a manifest list must be available.
`,
  flags: flags.imagesConvert,
  load: async () => (await import("./images-convert.ts")).convert,
});

export const contentFetch: Command = command({
  name: "fetch",
  summary: "fetch all content for an image into containerd",
  usage: "[flags] <remote> <object>",
  description: `Fetch an image into containerd.

This command ensures that containerd has all the necessary resources to build
an image's rootfs and convert the configuration to a runtime format supported
by containerd.
`,
  flags: flags.contentFetch,
  load: async () => (await import("./content-remote.ts")).fetchContent,
});

export const contentFetchObject: Command = command({
  name: "fetch-object",
  summary: "retrieve objects from a remote",
  usage: "[flags] <remote> <object> [<hint>, ...]",
  description: "Fetch objects by identifier from a remote.",
  flags: flags.registryFlags,
  load: async () => (await import("./content-remote.ts")).fetchObject,
});

export const contentFetchBlob: Command = command({
  name: "fetch-blob",
  summary: "retrieve blobs from a remote",
  usage: "[flags] <remote> [<digest>, ...]",
  description: "Fetch blobs by digests from a remote.",
  flags: flags.contentFetchBlob,
  load: async () => (await import("./content-remote.ts")).fetchBlob,
});

export const contentPushObject: Command = command({
  name: "push-object",
  summary: "push an object to a remote",
  usage: "[flags] <remote> <object> <type>",
  description: "Push objects by identifier to a remote.",
  flags: flags.registryFlags,
  load: async () => (await import("./content-remote.ts")).pushObject,
});
