import { tmpdir } from "node:os";
import { type Check, fail, ok, warn } from "../finding.ts";

const GiB = 2 ** 30;

const overlay: Check = (machine, { root, cri }) => {
  const { snapshotter } = cri.images;
  if (snapshotter !== "overlayfs") return ok("snapshotter", snapshotter);
  const { type } = machine.space(root);
  if (!machine.isRoot) return warn("snapshotter", "whether overlays work can't be known", "run it as root");
  const problem = machine.overlayProblem(root);
  if (problem === undefined) return ok("snapshotter", `overlayfs in ${root}, on ${type}`);
  return fail(
    "snapshotter",
    `overlayfs can't be used in ${root}, on ${type}: ${problem}`,
    "put root on ext4, xfs (ftype=1) or btrfs, or choose another snapshotter",
  );
};

const room: Check = (machine, { root }) => {
  const { size, free, inodes, inodesFree } = machine.space(root);
  const detail = `${(free / GiB).toFixed(1)} GiB of ${(size / GiB).toFixed(1)} free for ${root}`;
  const mend = "make room, or put root on a larger file system";
  if (free < GiB) return fail("room", `${detail}: images can't be pulled`, mend);
  if (free / size < 0.15) return warn("room", `${detail}: the kubelet begins to evict pods below 15 %`, mend);
  if (inodes > 0 && inodesFree / inodes < 0.05)
    return warn("room", `${inodesFree} of ${inodes} inodes free for ${root}`, mend);
  return ok("room", detail);
};

const state: Check = (machine, { state: directory }) => {
  const { type } = machine.space(directory);
  if (type === "tmpfs") return ok("state", `${directory}, on tmpfs`);
  const detail = `${directory} is on ${type}: what is in it outlives a reboot, and is found again as if it ran`;
  return warn("state", detail, "put it on a tmpfs, as /run is to be one");
};

const propagation: Check = ({ mounts }) => {
  const root = mounts().findLast(({ target }) => target === "/");
  if (root === undefined || root.propagation.some((option) => option.startsWith("shared:")))
    return ok("mounts", "/ is shared");
  return warn(
    "mounts",
    "/ is private: volumes of mountPropagation Bidirectional, as storage drivers use, fail",
    "mount --make-rshared /",
  );
};

const temporary: Check = (machine) => {
  const directory = tmpdir();
  const { free } = machine.space(directory);
  const detail = `${(free / GiB).toFixed(1)} GiB free in ${directory}`;
  if (free >= GiB / 4) return ok("temporary files", detail);
  return warn("temporary files", detail, "make room, or set temp in the configuration");
};

export const storageChecks: readonly Check[] = [overlay, room, state, propagation, temporary];
