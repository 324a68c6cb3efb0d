/** Files that all containers of a pod have, and its shared memory. */

import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { hostname as hostName } from "node:os";
import { join } from "node:path";
import type { DNSConfig, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import { mount, mountFlags, unmountAll, unmountTree } from "@hull/sys/mount";
import type { PodFiles } from "../spec/input.ts";
import type { CriDirectories, PodDirectories } from "./directories.ts";
import { isHostIpc } from "./namespaces.ts";

const hostShm = "/dev/shm";
const shmBytes = 64 * 1024 * 1024;

/** Where a pod's files are. */
export const podFiles = ({ files, shm }: PodDirectories, config: PodSandboxConfig): Required<PodFiles> => ({
  hostname: join(files, "hostname"),
  hosts: join(files, "hosts"),
  resolvConf: join(files, "resolv.conf"),
  shm: isHostIpc(config) ? hostShm : shm,
});

/**
 * Writes a pod's files and mounts its shared memory.
 * @throws Unknown if the host has no files to copy, or no shared memory to share
 */
export function writePodFiles(directories: PodDirectories, config: PodSandboxConfig): void {
  const files = podFiles(directories, config);
  for (const directory of [directories.files, directories.volatile])
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  writeFileSync(files.hostname, `${config.hostname === "" ? hostName() : config.hostname}\n`, { mode: 0o644 });
  copyHost("/etc/hosts", files.hosts, "failed to generate sandbox hosts file");
  if (config.dnsConfig === undefined) {
    copyHost("/etc/resolv.conf", files.resolvConf, "failed to copy host's resolv.conf to");
  } else writeFileSync(files.resolvConf, resolvConf(config.dnsConfig), { mode: 0o644 });
  if (isHostIpc(config)) {
    if (!existsSync(hostShm)) throw unknown(`host "${hostShm}" is not available for host ipc: it does not exist`);
    return;
  }
  mkdirSync(files.shm, { recursive: true, mode: 0o700 });
  const { noExec, noSuid, noDevices } = mountFlags;
  const data = `mode=1777,size=${shmBytes}`;
  mount({ source: "shm", target: files.shm, type: "tmpfs", flags: noExec | noSuid | noDevices, data });
}

function copyHost(from: string, to: string, failed: string): void {
  try {
    copyFileSync(from, to);
  } catch (error) {
    throw unknown(`${failed} ${JSON.stringify(to)}: ${HullError.from(error).message}`, { cause: error });
  }
}

/** resolv.conf(5), in containerd's order. */
export function resolvConf({ servers, searches, options }: DNSConfig): string {
  return [
    ...(searches.length === 0 ? [] : [`search ${searches.join(" ")}\n`]),
    ...servers.map((server) => `nameserver ${server}\n`),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}\n`]),
  ].join("");
}

/** Takes a pod's shared memory away. */
export const removeShm = ({ shm }: PodDirectories): void => unmountAll(shm);

/** Removes both directories of a pod, with whatever is mounted there; what isn't there is fine. */
export async function removePodDirectories({ files, volatile, shm, pinned }: PodDirectories): Promise<void> {
  // By name: reading all of the host's mounts takes long where there are many pods.
  for (const path of [shm, ...["ipc", "uts", "user"].map((kind) => join(pinned, kind))]) unmountAll(path);
  await Promise.all([files, volatile].map((path) => rm(path, { recursive: true, force: true })));
}

/** Removes the directories of pods that aren't known. */
export async function removeOrphans(
  { root, state }: Pick<CriDirectories, "root" | "state">,
  known: ReadonlySet<string>,
): Promise<void> {
  for (const directory of [join(state, "sandboxes"), join(root, "sandboxes")]) {
    const names = await readdir(directory).catch(() => []);
    for (const name of names.filter((name) => !known.has(name))) {
      unmountTree(join(directory, name));
      await rm(join(directory, name), { recursive: true, force: true });
    }
  }
}
