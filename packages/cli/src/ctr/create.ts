import { Options as RuncOptions } from "@hull/api/gen/containerd/runc/v1/options";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { Options as RuntimeOptions } from "@hull/api/gen/runtimeoptions/v1/options";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, type ContainerRootfs, createContainer } from "@hull/client/containers";
import { getImage, isUnpacked, type PlatformImage, platformImage } from "@hull/client/images";
import { unpackImage } from "@hull/client/unpack";
import { isCode } from "@hull/errors";
import { parsePlatform } from "@hull/oci/platform";
import type { IdMapping } from "@hull/oci/spec";
import { CtrError } from "./errors.ts";
import { defaultRuntime, defaultSnapshotter } from "./globals.ts";
import { parseLabels } from "./labels.ts";
import { networkExtensions } from "./network.ts";
import { idMappingsOf, makeSpec, type SpecFlags } from "./spec.ts";

/** What the command line says of a container. */
export interface ContainerRequest {
  readonly flags: SpecFlags;
  readonly given: ReadonlySet<string>;
  /** Image or directory; the id; the program and its arguments. With `--config` there is no image. */
  readonly args: readonly string[];
}

/** The longest label, key and value together, that a container can have. */
const maximumLabel = 4096;

/** The id that the arguments name. */
export function containerIdOf({ flags, args }: ContainerRequest): string {
  return args[flags.config === undefined ? 1 : 0] ?? "";
}

/** Makes the container that a command line describes. */
export async function createFrom(client: Client, request: ContainerRequest): Promise<Container> {
  const { flags, given, args } = request;
  const id = containerIdOf(request);
  const runtime = { name: flags.runtime, options: runtimeOptions(flags) };
  const common = { flags, given, namespace: client.namespace, id };
  const own = parseLabels(flags.label);
  const { sandbox } = flags;
  const extensions = flags.cni ? networkExtensions : {};
  if (flags.config !== undefined) {
    return await createContainer(client, {
      id,
      labels: own,
      runtime,
      extensions,
      sandbox,
      spec: () => makeSpec({ ...common, args: [], mounts: [] }),
    });
  }
  const [ref = "", , ...command] = args;
  if (flags.rootfs) {
    const spec = () => makeSpec({ ...common, rootfs: ref, args: command, mounts: [] });
    return await createContainer(client, { id, labels: own, runtime, extensions, sandbox, spec });
  }
  const snapshotter = flags.snapshotter ?? defaultSnapshotter;
  const { target, labels } = await getImage(client, ref);
  const platform = flags.platform === undefined ? undefined : parsePlatform(flags.platform);
  const image = await platformImage(client, target, platform);
  const make = (): Promise<Container> =>
    createContainer(client, {
      id,
      labels: containerLabels(image, labels, own),
      runtime,
      extensions,
      sandbox,
      rootfs: { image, imageName: ref, snapshotter, ...ownersOf(flags) },
      spec: (mounts) => makeSpec({ ...common, image, args: command, mounts }),
    });
  try {
    return await make();
  } catch (error) {
    // Nearly always it is unpacked: asked only when the container couldn't be made.
    if (!isCode(error, "notFound") || (await isUnpacked(client, image, snapshotter))) throw error;
    await unpackImage(client, image, { snapshotter, syncFs: flags["sync-fs"] ?? false });
    return await make();
  }
}

/** How the files of the image come to belong to the ids of a user namespace: by the snapshotter, told by labels, or by copying them. */
function ownersOf(flags: SpecFlags): Pick<ContainerRootfs, "snapshotLabels" | "remap"> {
  const snapshotLabels = parseLabels(flags["snapshotter-label"]);
  const remap = idMappingsOf(flags);
  if (remap === undefined) return { snapshotLabels };
  if (flags["remap-labels"] !== true) return { remap };
  const text = (map: readonly IdMapping[]): string =>
    map.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
  return {
    snapshotLabels: {
      "containerd.io/snapshot/uidmapping": text(remap.uids),
      "containerd.io/snapshot/gidmapping": text(remap.gids),
    },
  };
}

function containerLabels(
  { config }: PlatformImage,
  imageLabels: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const fits = ([key, value]: [string, string]): boolean =>
    Buffer.byteLength(key) + Buffer.byteLength(value) <= maximumLabel;
  return {
    ...Object.fromEntries(Object.entries({ ...config.config.labels, ...imageLabels }).filter(fits)),
    ...own,
    "io.containerd.image.config.stop-signal": config.config.stopSignal ?? "SIGTERM",
  };
}

/** The flags that say which runtime a container has, and how that is set up. */
export type RuntimeFlags = Pick<SpecFlags, "runtime" | "runtime-config-path"> &
  Partial<Pick<SpecFlags, "runc-binary" | "runc-root" | "runc-systemd-cgroup" | "cgroup">>;

export function runtimeOptions(flags: RuntimeFlags): Any | undefined {
  const { "runc-binary": binaryName, "runc-root": root, "runc-systemd-cgroup": systemdCgroup = false } = flags;
  if (flags.runtime !== defaultRuntime) {
    if (binaryName !== undefined || systemdCgroup)
      throw new CtrError(
        `specifying runc-binary and runc-systemd-cgroup is only supported for "${defaultRuntime}" runtime`,
      );
    const configPath = flags["runtime-config-path"];
    return configPath === undefined
      ? undefined
      : encodeAny("runtimeoptions.v1.Options", RuntimeOptions, { configPath });
  }
  if (systemdCgroup && !flags.cgroup) throw new CtrError("option --runc-systemd-cgroup requires --cgroup to be set");
  return encodeAny("containerd.runc.v1.Options", RuncOptions, { binaryName, root, systemdCgroup });
}
