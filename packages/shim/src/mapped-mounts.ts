/** Mounts that show mapped owners, for OCI runtimes which don't know them: runc before 1.2 passes over that part of a spec without a word. */

import { chmodSync, mkdirSync, mkdtempSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failedPrecondition } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { unmount } from "@hull/sys/mount";
import { mountMapped } from "@hull/sys/mount-idmap";

/** A range of ids in a spec. */
interface SpecRange {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

interface MappedMount {
  readonly source?: string;
  readonly uidMappings?: readonly SpecRange[];
  readonly gidMappings?: readonly SpecRange[];
}

/** The parts of a spec that matter here. */
export interface MappedSpec {
  readonly mounts?: readonly MappedMount[];
  readonly linux?: {
    readonly namespaces?: readonly { type?: string; path?: string }[];
    readonly uidMappings?: readonly SpecRange[];
    readonly gidMappings?: readonly SpecRange[];
  };
}

/** Disposing takes the mounts down that the spec leads to: the container has its own of them by then. */
export interface MappedMounts extends Disposable {
  /** The spec's, without mappings. */
  readonly mounts: readonly MappedMount[];
}

/** Makes the mounts with mapped owners that a spec has, and gives the spec's with those instead; undefined if there are none. @throws SysError */
export function makeMappedMounts(spec: MappedSpec): MappedMounts | undefined {
  const { mounts = [], linux = {} } = spec;
  if (!mounts.some(isMapped)) return undefined;
  using undo = new DisposableStack();
  // Outside the bundle, all of which is deleted in the end.
  const place = mkdtempSync(join(tmpdir(), "hull-mapped-"));
  undo.defer(() => rmdirSync(place));
  // The OCI runtime comes here as root of the container, who is nobody on the host.
  chmodSync(place, 0o711);
  const changed = mounts.map((mount, index) => {
    const { uidMappings, gidMappings, ...rest } = mount;
    if (!isMapped(mount)) return mount;
    const source = mount.source ?? "";
    const target = join(place, String(index));
    makePlace(source, target, undo);
    mapped(source, target, mappingOf(mount, linux));
    undo.defer(() => unmount(target, { detach: true }));
    return { ...rest, source: target };
  });
  const made = undo.move();
  return { mounts: changed, [Symbol.dispose]: () => made.dispose() };
}

function mapped(source: string, target: string, mapping: ReturnType<typeof mappingOf>): void {
  try {
    mountMapped(source, target, mapping, { below: true });
  } catch (error) {
    if (!isErrno(error, "EINVAL")) throw error;
    throw failedPrecondition(
      `"${source}" can't be mounted with the ids of a user namespace: its file system doesn't support that on this kernel`,
      { cause: error },
    );
  }
}

const isMapped = ({ uidMappings = [], gidMappings = [] }: MappedMount): boolean =>
  uidMappings.length > 0 && gidMappings.length > 0;

/** A directory or a file, as is what will be mounted on it. */
function makePlace(source: string, target: string, undo: DisposableStack): void {
  if (statSync(source).isDirectory()) {
    mkdirSync(target);
    undo.defer(() => rmdirSync(target));
  } else {
    writeFileSync(target, "");
    undo.defer(() => unlinkSync(target));
  }
}

/** The container's own user namespace where that is there already and maps the same. */
function mappingOf(
  { uidMappings = [], gidMappings = [] }: MappedMount,
  { namespaces = [], uidMappings: uids = [], gidMappings: gids = [] }: NonNullable<MappedSpec["linux"]>,
) {
  const text = (ranges: readonly SpecRange[]): string =>
    ranges.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(",");
  const path = namespaces.find(({ type }) => type === "user")?.path ?? "";
  const own = text(uids) === text(uidMappings) && text(gids) === text(gidMappings);
  return path !== "" && own ? { userNamespace: path } : { uidmap: text(uidMappings), gidmap: text(gidMappings) };
}
