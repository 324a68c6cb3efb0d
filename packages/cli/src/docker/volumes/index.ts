/**
 * Volumes: directories that outlive containers, and hold what they found in the image at their place.
 *
 *   wishesOf(flags, image) ──► place(wishes) makes those that are not there ──► label of the record, mounts of the spec
 *                                                                          └──► fill(placed, rootfs): what the image has there is copied
 *
 * A volume with a name stays until it is removed; one without goes with its container where `rm -v` or `--rm` says so. They are kept
 * beside the daemon's other things, below `volumes/NAMESPACE/NAME`, as docker keeps its own: the files in `_data`.
 */
import type { Container } from "@hull/client/containers";
import { type AttachedVolume, attachedVolumes, volumesLabel } from "@hull/engine/auto-remove/volumes";
import { invalidArgument, notFound } from "@hull/errors";
import type { SpecMount } from "@hull/oci/spec";
import type { FlagValues } from "../../command/index.ts";
import type { mountFlags } from "./flags.ts";
import { type MountWish, parseMount, parseTmpfs, parseVolume } from "./parse.ts";
import type { VolumeStore } from "./store.ts";

export { fillVolumes } from "./fill.ts";
export { openVolumes, type Volume, type VolumeStore } from "./store.ts";

/** A mount of a container, whose volume is there. */
export interface PlacedMount {
  readonly mount: SpecMount;
  readonly volume?: AttachedVolume & { readonly path: string; readonly fill: boolean };
}

/**
 * All that a container's file system gets: of the flags, and of the image a volume without a name for each path that it declares.
 * @throws InvalidArgument, Unimplemented
 */
export function wishesOf(
  flags: FlagValues<typeof mountFlags>,
  declared: readonly string[],
  inherited: ReadonlySet<string>,
): MountWish[] {
  const own = [
    ...flags.volume.map((text) => parseVolume(text)),
    ...flags.mount.map(parseMount),
    ...flags.tmpfs.map(parseTmpfs),
  ];
  const taken = new Set<string>();
  for (const { destination } of own) {
    if (taken.has(destination))
      throw invalidArgument(`two mounts have the same place in the container: "${destination}"`);
    taken.add(destination);
  }
  const images = declared
    .map((path) => parseVolume(path))
    .filter(({ destination }) => !taken.has(destination) && !inherited.has(destination));
  return [...own, ...images];
}

/** In the order to mount: what is inside another mount comes after it. */
export function inOrder(mounts: readonly PlacedMount[]): PlacedMount[] {
  const depth = ({ mount }: PlacedMount): number => mount.destination.split("/").filter(Boolean).length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
}

/** Makes the volumes that are missing; those made without a name go again with `undo`. */
export function place(wishes: readonly MountWish[], store: VolumeStore, undo: DisposableStack): PlacedMount[] {
  return wishes.map((wish) => {
    const { destination, options } = wish;
    if (wish.type !== "volume") return { mount: wish };
    const anonymous = wish.source === undefined;
    const volume = store.create(wish.source, { anonymous });
    if (anonymous) undo.defer(() => store.remove(volume.name));
    return {
      mount: { type: "bind", source: volume.path, destination, options },
      volume: { name: volume.name, destination, anonymous, path: volume.path, fill: wish.fill },
    };
  });
}

/** What is kept of them in the container's record. */
export function volumeLabels(placed: readonly PlacedMount[]): Record<string, string> {
  const volumes = placed.flatMap(({ volume }) =>
    volume === undefined
      ? []
      : [{ name: volume.name, destination: volume.destination, ...(volume.anonymous ? { anonymous: true } : {}) }],
  );
  return volumes.length === 0 ? {} : { [volumesLabel]: JSON.stringify(volumes) };
}

/** The volumes of a container's record. */
export const volumesOf = ({ labels }: Pick<Container, "labels">): readonly AttachedVolume[] => attachedVolumes(labels);

/** @throws NotFound, as docker words it */
export const noSuchVolume = (name: string): Error => notFound(`get ${name}: no such volume`);
