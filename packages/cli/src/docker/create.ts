import { rmSync } from "node:fs";
import { join } from "node:path";
import { Options } from "@hull/api/gen/containerd/runc/v1/options";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, createContainer, removeContainer } from "@hull/client/containers";
import { clientDirectories } from "@hull/client/directories";
import type { Image, PlatformImage } from "@hull/client/images";
import { type ChosenNetwork, hostResolver, networkLabels } from "@hull/client/network/index";
import { writeNaming } from "@hull/client/network/names";
import { alreadyExists, invalidArgument, isCode } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import { appArmorProfile } from "./apparmor.ts";
import { clientDirectory } from "./client-directory.ts";
import { containersNamed } from "./find.ts";
import { giveName } from "./give-name.ts";
import type { Call } from "./globals.ts";
import { placeOf } from "./globals.ts";
import { healthLabelsOf } from "./health.ts";
import { withGroupsAndDevices } from "./host-steps.ts";
import { initMounts } from "./init.ts";
import { labelNames, userLabels } from "./labels.ts";
import { logUri } from "./logs.ts";
import { checkName, newContainerId, randomName, shortId } from "./names.ts";
import { attaches, nameFiles, placeNameFiles } from "./network/files.ts";
import { aliasesOf, heldNamespaces, networkOf } from "./network/flags.ts";
import { labelsForRestart } from "./restart.ts";
import type { RunFlags } from "./run-flags.ts";
import { parseSignal } from "./signals.ts";
import { parseSize } from "./size.ts";
import { hostnameOf, specOf, withUserOf } from "./spec.ts";
import { fillVolumes, inOrder, openVolumes, type PlacedMount, place, volumeLabels, wishesOf } from "./volumes/index.ts";
import { inheritedMounts } from "./volumes/inherit.ts";

/** What the shim of containers is called that name none: every containerd client's default. */
const defaultRuntime = "io.containerd.runc.v2";
const runcOptions = "containerd.runc.v1.Options";
/** A label's key and value are together at most so long. */
const longestLabel = 4096;

export interface CreateRequest {
  readonly call: Call<RunFlags>;
  readonly client: Client;
  readonly image: Image;
  readonly platformImage: PlatformImage;
  /** The command line behind the image. */
  readonly args: readonly string[];
  /** True if it is started at once. */
  readonly starts: boolean;
}

/**
 * Makes the container that the flags of `run` describe, under a name that no other one in the namespace has.
 * @throws AlreadyExists if the name is taken
 */
export async function createFromFlags({
  call,
  client,
  image,
  platformImage,
  args,
  starts,
}: CreateRequest): Promise<Container> {
  const { flags, globals, host } = call;
  if (flags.name !== undefined) checkName(flags.name);
  const id = newContainerId();
  const name = await freeName(client, flags.name);
  const network = await networkOf(flags, host.env);
  const health = healthLabelsOf(flags, platformImage.config.config.healthcheck);
  using undo = new DisposableStack();
  const placed = await mountsFor(client, call, platformImage.config.config.volumes, undo);
  const files = nameFiles(flags, network.name, hostResolver());
  const ownFiles = Object.keys(files).length > 0;
  const places = ownFiles
    ? join(await clientDirectory(client, "containers", placeOf(globals).root), client.namespace)
    : "";
  const named = ownFiles ? placeNameFiles(files, join(places, id), undo) : [];
  const hostname = hostnameOf(flags, network.name, id);
  const naming = attaches(network.name) ? join(places, id, "names.json") : undefined;
  if (naming !== undefined)
    writeNaming(naming, {
      names: [name, ...aliasesOf(flags, network.name, host.env), shortId(id)],
      hostname,
      file: join(places, id, "hosts"),
    });
  const source = {
    // What a user mounts there counts more.
    mounts: [...named, ...initMounts(flags), ...placed.map(({ mount }) => mount)],
    flags,
    args,
    id,
    namespace: client.namespace,
    image: platformImage,
    env: host.env,
    network,
    hostname,
    naming,
    namespaceDirectory: heldNamespaces(globals),
    apparmor: await appArmorProfile(flags),
  };
  const spec = specOf(source);
  const user = flags.user ?? platformImage.config.config.user;
  const container = await createContainer(client, {
    id,
    labels: {
      ...(await ownLabels(client, call, { id, name, starts, network }, platformImage.config)),
      ...volumeLabels(placed),
      ...health,
      ...(ownFiles || Object.keys(health).length > 0 ? { [labelNames.files]: "true" } : {}),
    },
    runtime: runtimeOf(flags.runtime),
    rootfs: {
      image: platformImage,
      imageName: image.name,
      snapshotter: globals.snapshotter,
      snapshotLabels: storageLabels(flags["storage-opt"]),
    },
    spec: async (mounts) => {
      await fillVolumes(placed, mounts);
      return await withGroupsAndDevices(withUserOf(user, mounts)(spec), flags, mounts);
    },
  });
  const settled = await settleName(client, container, call);
  undo.move();
  return settled;
}

/** What the flags, the image and other containers mount; volumes that were made go again with `undo`. */
async function mountsFor(
  client: Client,
  { flags, globals }: Call<RunFlags>,
  declared: readonly string[],
  undo: DisposableStack,
): Promise<PlacedMount[]> {
  const from = flags["volumes-from"];
  const store = await openVolumes(client, placeOf(globals).root);
  const inherited = from.length === 0 ? [] : await inheritedMounts(client, from, store);
  const wishes = wishesOf(flags, declared, new Set(inherited.map(({ mount }) => mount.destination)));
  const taken = new Set(wishes.map(({ destination }) => destination));
  const others = inherited.filter(({ mount }) => !taken.has(mount.destination));
  return inOrder([...others, ...place(wishes, store, undo)]);
}

/** What `--storage-opt` asks of the snapshotter. @throws InvalidArgument for any other option than size */
function storageLabels(options: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const option of options) {
    const size = /^size=(.+)$/.exec(option)?.[1];
    if (size === undefined) throw invalidArgument(`--storage-opt "${option}" is not known: give size=SIZE`);
    labels["containerd.io/snapshot/max-size"] = String(parseSize(size, "--storage-opt"));
  }
  return labels;
}

async function freeName(client: Client, wanted: string | undefined): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const name = wanted ?? randomName(attempt);
    const [owner] = await containersNamed(client, name);
    if (owner === undefined) return name;
    if (wanted !== undefined) throw nameTaken(name, owner.id);
  }
}

/**
 * Of two containers that were given the same name at the same time the one that was made later gets another, or goes again if the name was
 * wished for.
 */
async function settleName(
  client: Client,
  container: Container,
  { flags, globals }: Call<RunFlags>,
): Promise<Container> {
  for (let settled = container; ; ) {
    const name = settled.labels[labelNames.name] ?? "";
    const oldest = oldestOf(await containersNamed(client, name));
    if (oldest === undefined || oldest.id === container.id) return settled;
    if (flags.name !== undefined) {
      await removeContainer(client, container);
      throw nameTaken(name, oldest.id);
    }
    settled = await giveName(client, settled, await freeName(client, undefined), globals);
  }
}

function oldestOf(containers: readonly Container[]): Container | undefined {
  const ageOf = ({ createdAt, id }: Container): string =>
    `${String(createdAt?.seconds ?? 0n).padStart(20, "0")}.${String(createdAt?.nanos ?? 0).padStart(9, "0")} ${id}`;
  return [...containers].sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))[0];
}

const nameTaken = (name: string, id: string): Error =>
  alreadyExists(
    `the name "${name}" is in use by container ${shortId(id)}: remove that one (hull rm ${name}), or choose another name`,
  );

async function ownLabels(
  client: Client,
  { flags, globals }: Call<RunFlags>,
  { id, name, starts, network }: { id: string; name: string; starts: boolean; network: ChosenNetwork },
  config: ImageConfig,
): Promise<Record<string, string>> {
  const signal = flags["stop-signal"] ?? config.config.stopSignal;
  const timeout = flags["stop-timeout"];
  // Only what may come to run in the background needs a place for its log.
  const log =
    flags.rm && !flags.detach
      ? undefined
      : await newLog(client, { id, root: placeOf(globals).root, options: flags["log-opt"] });
  return {
    ...fitting(userLabels(config.config.labels)),
    ...Object.fromEntries(flags.label.map(parseLabel)),
    [labelNames.name]: name,
    ...networkLabels(network, { directory: heldNamespaces(globals) }),
    ...(log === undefined ? {} : { [labelNames.log]: log }),
    ...labelsForRestart(flags.restart, { rm: flags.rm, background: flags.detach || !starts, log }),
    ...(flags.rm ? { [labelNames.autoRemove]: "true" } : {}),
    ...(flags.interactive ? { [labelNames.stdin]: "true" } : {}),
    ...(signal === undefined || signal === "" ? {} : { [labelNames.stopSignal]: String(parseSignal(signal)) }),
    ...(timeout === undefined ? {} : { [labelNames.stopTimeout]: String(timeout) }),
  };
}

/** The URI of a new container's log. Another's shim notes no times. */
async function newLog(
  client: Client,
  { id, root, options }: { id: string; root: string; options: readonly string[] },
): Promise<string> {
  const { logs } = await clientDirectories(client);
  const path = join(logs ?? join(root, "logs"), client.namespace, `${id}.log`);
  return logUri(path, options, { times: logs !== undefined });
}

/** Those of the image's labels that containerd takes. */
function fitting(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).filter(([key, value]) => value !== "" && Buffer.byteLength(key + value) <= longestLabel),
  );
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf("=");
  if (text === "" || at === 0) throw invalidArgument(`label "${text}" must be of the form KEY=VALUE`);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** A shim by its name or path, or an OCI runtime for hull's own. */
function runtimeOf(runtime: string | undefined): { name: string; options?: Any } {
  if (runtime === undefined) return { name: defaultRuntime };
  if (/^[a-z][a-z0-9]*(\.[a-z0-9-]+){2,}$/.test(runtime)) return { name: runtime };
  if (/^\/(.*\/)?containerd-shim-[^/]+$/.test(runtime)) return { name: runtime };
  return { name: defaultRuntime, options: encodeAny(runcOptions, Options, { binaryName: runtime }) };
}

/** Removes the files that were made for a container on the host. */
export async function removeOwnFiles(client: Client, { id, labels }: Container, root: string): Promise<void> {
  if (labels[labelNames.files] !== "true") return;
  const directory = join(await clientDirectory(client, "containers", root), client.namespace, id);
  rmSync(directory, { recursive: true, force: true });
}

/** Removes a container that may be going already. */
export async function removeIfThere(client: Client, container: Container): Promise<void> {
  try {
    await removeContainer(client, container);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}
