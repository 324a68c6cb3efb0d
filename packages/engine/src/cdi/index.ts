import type { Spec } from "@hull/oci/spec";

/**
 * CDI devices of this host: what device vendors describe in spec files, and putting it into a container's runtime spec.
 *
 *   openDeviceRegistry(directories) ──► inject(spec, ["vendor.com/gpu=0"]) ──► the spec with the device's nodes, mounts, hooks …
 *
 * Files (`*.json`, `*.yaml`) of a later directory win over those of an earlier one; a device that two files of the same directory have
 * can't be used. A file that is wrong is passed over: what it would have had is unresolvable, `problems` says why. Every call looks
 * whether the files have changed, so a vendor may write and remove them at any time.
 *
 * Whoever makes a container's spec injects: clients by themselves, the CRI service for pods. Format: `@hull/oci/cdi`.
 */
export interface DeviceRegistry {
  /** Names of all devices that can be used, sorted. */
  devices(): Promise<string[]>;
  /** Vendors that have a file here, sorted. */
  vendors(): Promise<string[]>;
  /** What is wrong, by file. */
  problems(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** @throws InvalidArgument naming the devices that aren't there, or the node that can't be made */
  inject(spec: Spec, names: readonly string[]): Promise<Spec>;
}

/** Where vendors put their files: what is fixed, and what comes and goes. */
export const defaultCdiDirectories: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

/** The directories that clients look into: the default ones, or those that `HULL_CDI_DIRS` names, with colons between. */
export function cdiDirectories(env: Readonly<Record<string, string | undefined>> = process.env): readonly string[] {
  const own = (env.HULL_CDI_DIRS ?? "").split(":").filter((directory) => directory !== "");
  return own.length > 0 ? own : defaultCdiDirectories;
}

/** Annotations that ask for devices begin so; their values are names with commas between. */
export const cdiAnnotationPrefix = "cdi.k8s.io/";

export { devicesOfAnnotations } from "./annotations.ts";
export { openDeviceRegistry } from "./registry.ts";
