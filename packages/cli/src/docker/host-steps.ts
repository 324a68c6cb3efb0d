import type { Mount } from "@hull/api/gen/containerd/types/mount";
import { readInRoot } from "@hull/client/io/host";
import { cdiDirectories, openDeviceRegistry } from "@hull/engine/cdi/index";
import { invalidArgument, notFound } from "@hull/errors";
import { parseQualifiedName } from "@hull/oci/cdi";
import {
  buildSpec,
  type Rlimit,
  type Spec,
  type SpecMiddleware,
  withAnnotations,
  withCgroupsPath,
  withDevices,
  withHostNamespace,
  withIntelRdt,
  withMounts,
  withOomScore,
  withoutMount,
  withResources,
  withRlimits,
  withSysctl,
} from "@hull/oci/spec";
import { deviceNodesAt } from "@hull/sys/device-nodes";
import { resources as limitNames } from "@hull/sys/process";
import type { FlagValues } from "../command/index.ts";
import type { hostFlags } from "./host-flags.ts";
import { limitsOf } from "./limit-flags.ts";
import { parseSize } from "./size.ts";

type HostFlags = FlagValues<typeof hostFlags>;

/** The steps that these flags are. @throws InvalidArgument */
export function hostSteps(flags: HostFlags, id: string): SpecMiddleware[] {
  const parent = flags["cgroup-parent"];
  const rdt = flags["rdt-class"];
  const score = flags["oom-score-adj"];
  return [
    ...flags.device.filter((name) => parseQualifiedName(name) === undefined).map(device),
    withRlimits(flags.ulimit.map(parseUlimit)),
    withResources(limitsOf(flags, { memory: { swappiness: flags["memory-swappiness"] } })),
    ...namespaceSteps(flags),
    ...(flags.sysctl.length === 0
      ? []
      : [withSysctl(Object.fromEntries(flags.sysctl.map((text) => pair(text, "sysctl"))))]),
    ...(flags.annotation.length === 0
      ? []
      : [withAnnotations(Object.fromEntries(flags.annotation.map((text) => pair(text, "annotation"))))]),
    ...(flags["shm-size"] === undefined ? [] : [withSharedMemory(parseSize(flags["shm-size"], "shm size"))]),
    ...(rdt === undefined ? [] : [withIntelRdt({ closID: rdt })]),
    ...(parent === undefined ? [] : [withCgroupsPath(`${parent.startsWith("/") ? "" : "/"}${parent}/${id}`)]),
    ...(score === undefined ? [] : [withOomScore(score)]),
  ];
}

/**
 * What takes the user and the root file system first: more groups, and the devices that go by name.
 * @throws NotFound for a group, InvalidArgument for a device that isn't there
 */
export async function withGroupsAndDevices(spec: Spec, flags: HostFlags, mounts: readonly Mount[]): Promise<Spec> {
  const groups = flags["group-add"];
  const { user } = spec.process;
  const added = groups.length === 0 ? [] : groupsOf(groups, readInRoot(mounts, ["/etc/group"])[0] ?? "");
  const additionalGids = [...new Set([...(user.additionalGids ?? []), ...added])];
  const grouped =
    added.length === 0 ? spec : { ...spec, process: { ...spec.process, user: { ...user, additionalGids } } };
  const names = [
    ...flags.device.filter((name) => parseQualifiedName(name) !== undefined),
    ...(flags.gpus === undefined ? [] : await gpuNames(flags.gpus)),
  ];
  if (names.length === 0) return grouped;
  return await openDeviceRegistry(cdiDirectories()).inject(grouped, names);
}

function groupsOf(names: readonly string[], file: string): number[] {
  const known = new Map(
    file.split("\n").map((line) => [line.split(":")[0] ?? "", Number(line.split(":")[2])] as const),
  );
  return names.map((name) => {
    const id = known.get(name) ?? (/^\d+$/.test(name) ? Number(name) : undefined);
    if (id === undefined) throw notFound(`group "${name}" is not in the image's /etc/group`);
    return id;
  });
}

const gpuVendors = ["nvidia.com", "amd.com"];

async function gpuNames(text: string): Promise<string[]> {
  const vendors = await openDeviceRegistry(cdiDirectories()).vendors();
  const vendor = gpuVendors.find((known) => vendors.includes(known));
  if (vendor === undefined)
    throw invalidArgument(
      `--gpus ${text}: no GPUs are described in ${cdiDirectories().join(", ")}: have their driver write its CDI file (e.g. nvidia-ctk cdi generate)`,
    );
  const ids = text === "all" ? ["all"] : /^"?device=([^"]+)"?$/.exec(text)?.[1]?.split(",");
  if (ids === undefined) throw invalidArgument(`--gpus "${text}" must be all, or device=N,N`);
  return ids.map((id) => `${vendor}/gpu=${id}`);
}

function device(text: string): SpecMiddleware {
  const [path = "", inside = path, access = "rwm", ...rest] = text.split(":");
  // As docker: one part behind the path may be the rights.
  const rights = /^[rwm]+$/.test(inside) ? inside : access;
  const place = /^[rwm]+$/.test(inside) ? path : inside;
  if (rest.length > 0 || !/^[rwm]+$/.test(rights) || !place.startsWith("/") || !path.startsWith("/"))
    throw invalidArgument(`device "${text}" must be of the form "/dev/x[:/dev/y[:rwm]]" or "vendor/class=name"`);
  const found = deviceNodesAt(path).map((node) => ({ ...node, path: `${place}${node.path.slice(path.length)}` }));
  return withDevices(found, rights);
}

function parseUlimit(text: string): Rlimit {
  const [, name = "", soft = "", hard = soft] = /^([a-z]+)=(\d{1,15})(?::(\d{1,15}))?$/.exec(text) ?? [];
  const type = `RLIMIT_${name.toUpperCase()}`;
  if (!Object.hasOwn(limitNames, type))
    throw invalidArgument(`ulimit "${text}" must be of the form NAME=SOFT[:HARD] with numbers, e.g. nofile=1024:4096`);
  if (Number(soft) > Number(hard)) throw invalidArgument(`ulimit "${text}": the soft limit is above the hard one`);
  return { type, soft: Number(soft), hard: Number(hard) };
}

function namespaceSteps({ pid, ipc, uts }: HostFlags): SpecMiddleware[] {
  for (const [name, value] of Object.entries({ pid, ipc, uts }))
    if (value !== undefined && value !== "host") throw invalidArgument(`--${name} "${value}" must be host`);
  const share = ["/dev/shm", "/dev/mqueue"].map((path) => ({
    type: "bind",
    source: path,
    destination: path,
    options: ["rbind", "nosuid", "noexec", "nodev"],
  }));
  return [
    ...(pid === undefined ? [] : [withHostNamespace("pid")]),
    ...(ipc === undefined
      ? []
      : [withHostNamespace("ipc"), withoutMount("/dev/shm"), withoutMount("/dev/mqueue"), withMounts(share)]),
    ...(uts === undefined ? [] : [withHostNamespace("uts"), withoutHostname]),
  ];
}

const withoutHostname: SpecMiddleware = ({ hostname: _hostname, ...spec }) => spec;

const withSharedMemory =
  (bytes: number): SpecMiddleware =>
  (spec) =>
    buildSpec(
      spec,
      withoutMount("/dev/shm"),
      withMounts([
        {
          destination: "/dev/shm",
          type: "tmpfs",
          source: "shm",
          options: ["nosuid", "noexec", "nodev", "mode=1777", `size=${bytes}`],
        },
      ]),
    );

function pair(text: string, what: string): [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw invalidArgument(`${what} "${text}" must be of the form KEY=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
