import { existsSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { PlatformImage } from "@hull/client/images";
import { userInRoot } from "@hull/client/io/host";
import type { IdMappings } from "@hull/client/remapped-snapshot";
import { loadDefaultProfile } from "@hull/engine/apparmor/index";
import { cdiDirectories, openDeviceRegistry } from "@hull/engine/cdi/index";
import { HullError } from "@hull/errors";
import { parseQualifiedName } from "@hull/oci/cdi";
import { hostPlatform } from "@hull/oci/platform";
import * as oci from "@hull/oci/spec";
import { ownCapabilities } from "@hull/sys/credentials";
import { deviceNodes, deviceNodesAt } from "@hull/sys/device-nodes";
import { isErrno } from "@hull/sys/errno";
import type { FlagValues } from "../command/index.ts";
import type { containerFlags, runFlags } from "./container-flags.ts";
import { CtrError } from "./errors.ts";
import { parseIdMapping } from "./id-mappings.ts";
import { parseLabels } from "./labels.ts";
import { parseMount } from "./mount-flag.ts";

/** Flags that only `run` has may be missing. */
export type SpecFlags = FlagValues<typeof containerFlags> & Partial<FlagValues<typeof runFlags>>;

export interface SpecRequest {
  readonly flags: SpecFlags;
  readonly given: ReadonlySet<string>;
  readonly namespace: string;
  readonly id: string;
  /** None with `--rootfs`, where the directory is `rootfs`. */
  readonly image?: PlatformImage;
  readonly rootfs?: string;
  readonly args: readonly string[];
  readonly mounts: readonly Mount[];
}

const cfsPeriod = 100_000;

/** The spec of a container as ctr makes it of its flags. @throws CtrError, HullError */
export async function makeSpec(request: SpecRequest): Promise<oci.Spec> {
  const { flags, namespace, id } = request;
  if (flags.config !== undefined) return specFromFile(flags.config);
  const start = oci.defaultSpec({ namespace, id, cgroup2: false });
  const spec = oci.buildSpec(
    start,
    ...processSteps(request),
    ...isolationSteps(request),
    ...(await appArmorSteps(flags)),
    ...resourceSteps(request),
    ...pathDevices(flags).map((path) => oci.withDevices(nodesAt(path))),
  );
  return oci.buildSpec(await withNamedDevices(spec, flags), ...(await lastSteps(request)));
}

/** @throws CtrError in ctr's words */
function nodesAt(path: string): oci.Device[] {
  if (!existsSync(path)) throw new CtrError(`error stating device path: stat ${path}: no such file or directory`);
  const info = statSync(path);
  if (!info.isDirectory() && !info.isCharacterDevice() && !info.isBlockDevice())
    throw new CtrError("not a device node");
  return deviceNodesAt(path);
}

/** Of `--device`, what is no name of a CDI device. */
const pathDevices = ({ device }: SpecFlags): string[] =>
  device.filter((name) => parseQualifiedName(name) === undefined);

/** Makers of GPUs whose devices `--gpus` finds. */
const gpuVendors = ["nvidia.com", "amd.com"];

async function withNamedDevices(spec: oci.Spec, { device, gpus }: SpecFlags): Promise<oci.Spec> {
  const named = device.filter((name) => parseQualifiedName(name) !== undefined);
  if (named.length === 0 && gpus.length === 0) return spec;
  const registry = openDeviceRegistry(cdiDirectories());
  const inject = async (names: readonly string[]): Promise<oci.Spec> => {
    try {
      return await registry.inject(spec, names);
    } catch (error) {
      const problems = [...(await registry.problems()).values()].flat();
      throw new CtrError([HullError.from(error).message, ...problems].join("; "));
    }
  };
  if (gpus.length === 0) return await inject(named);
  const wrong = gpus.find((id) => !/^-?\d+$/.test(id));
  if (wrong !== undefined) throw new CtrError(`invalid value "${wrong}" for flag -gpus: a number is needed`);
  const vendors = await registry.vendors();
  const vendor = gpuVendors.find((known) => vendors.includes(known));
  if (vendor === undefined)
    throw new CtrError(
      "detect GPU vendor failed: no known GPU vendor detected in CDI specs, only AMD and NVIDIA are supported",
    );
  return await inject([...named, ...gpus.map((id) => `${vendor}/gpu=${id}`)]);
}

function specFromFile(path: string): oci.Spec {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as oci.Spec;
  } catch (error) {
    const why = isErrno(error, "ENOENT") ? `open ${path}: no such file or directory` : HullError.from(error).message;
    throw new CtrError(`cannot load spec config file: ${why}`);
  }
}

function processSteps({ flags, image, rootfs, args, mounts }: SpecRequest): oci.SpecMiddleware[] {
  const steps: oci.SpecMiddleware[] = [];
  const env = [...(flags["env-file"] === undefined ? [] : readEnvFile(flags["env-file"])), ...flags.env];
  const mappings = idMappingsOf(flags);
  if (image === undefined) steps.push(oci.withEnv([oci.defaultPath]));
  else steps.push(...imageSteps(image, args, mounts, flags.user));
  steps.push(oci.withEnv(env), oci.withMounts(flags.mount.map(parseMount)));
  if (image !== undefined && mappings !== undefined) steps.push(oci.withUserNamespace(mappings.uids, mappings.gids));
  if (rootfs !== undefined) steps.push((spec) => ({ ...spec, root: { ...spec.root, path: resolve(rootfs) } }));
  if (flags["read-only"]) steps.push(oci.withReadOnlyRoot);
  if (args.length > 0) steps.push(oci.withArgs(args));
  const { cwd } = flags;
  // Checked by the runtime, in whose words the error comes.
  if (cwd !== undefined) steps.push((spec) => ({ ...spec, process: { ...spec.process, cwd } }));
  if (flags.tty) steps.push(oci.withTty);
  return steps;
}

function imageSteps(
  image: PlatformImage,
  args: readonly string[],
  mounts: readonly Mount[],
  user: string | undefined,
): oci.SpecMiddleware[] {
  const { config } = image;
  const named = config.config.entrypoint.length + config.config.cmd.length > 0;
  const runnable = named || args.length === 0 ? config : { ...config, config: { ...config.config, cmd: [...args] } };
  return [oci.withImageConfig(runnable), oci.withUser(userInRoot(mounts, user ?? config.config.user))];
}

function isolationSteps({ flags, given }: SpecRequest): oci.SpecMiddleware[] {
  const steps: oci.SpecMiddleware[] = [];
  const noDevices = flags["privileged-without-host-devices"] === true;
  if (noDevices && !flags.privileged)
    throw new CtrError("can't use 'privileged-without-host-devices' without 'privileged' specified");
  if (flags.privileged) {
    const devices = noDevices ? "none" : deviceNodes();
    steps.push(oci.withPrivileged({ capabilities: ownCapabilities(), devices }));
  }
  if (flags["net-host"]) steps.push(oci.withHostNetwork(hostname()));
  if (flags.annotation.length > 0) steps.push(oci.withAnnotations(parseLabels(flags.annotation)));
  for (const name of [...flags["cap-add"], ...flags["cap-drop"]]) {
    if (!name.startsWith("CAP_")) throw new CtrError("capabilities must be specified with 'CAP_' prefix");
  }
  if (flags["cap-add"].length > 0) steps.push(oci.withAddedCapabilities(flags["cap-add"]));
  if (flags["cap-drop"].length > 0) steps.push(oci.withDroppedCapabilities(flags["cap-drop"]));
  steps.push(...seccompSteps(flags));
  for (const text of flags["with-ns"]) steps.push(oci.withNamespace(parseNamespace(text)));
  // As ctr, whatever value is given.
  if (given.has("allow-new-privs")) steps.push(oci.withNoNewPrivileges(false));
  return steps;
}

/** As ctr does, where both are named the default one is an error. */
async function appArmorSteps(flags: SpecFlags): Promise<oci.SpecMiddleware[]> {
  const byDefault = flags["apparmor-default-profile"];
  const own = flags["apparmor-profile"];
  if (byDefault !== undefined && own !== undefined)
    throw new CtrError("apparmor-profile conflicts with apparmor-default-profile");
  if (byDefault !== undefined) await loadDefaultProfile(byDefault);
  const apparmorProfile = byDefault ?? own;
  if (apparmorProfile === undefined) return [];
  return [oci.withAppArmor(apparmorProfile)];
}

function seccompSteps(flags: SpecFlags): oci.SpecMiddleware[] {
  const file = flags["seccomp-profile"];
  if (file !== undefined && !flags.seccomp)
    throw new CtrError("seccomp must be set to true, if using a custom seccomp-profile");
  if (!flags.seccomp) return [];
  if (file !== undefined) {
    const text = readFileSync(file, "utf8");
    return [oci.withSeccomp(JSON.parse(text) as oci.Seccomp)];
  }
  const { architecture } = hostPlatform();
  // What the container may do decides what the profile allows.
  return [
    (spec) =>
      oci.withSeccomp(oci.defaultSeccomp({ architecture, capabilities: spec.process.capabilities?.bounding ?? [] }))(
        spec,
      ),
  ];
}

const namespaceTypes: ReadonlySet<string> = new Set(["pid", "network", "ipc", "mount", "uts", "user", "cgroup"]);

function parseNamespace(text: string): oci.LinuxNamespace {
  const colon = text.indexOf(":");
  if (colon < 0) throw new CtrError("joining a Linux namespace using --with-ns requires the format 'nstype:path'");
  const type = text.slice(0, colon);
  if (!namespaceTypes.has(type))
    throw new CtrError(`the Linux namespace type specified in --with-ns is not valid: ${type}`);
  return { type: type as oci.NamespaceType, path: text.slice(colon + 1) };
}

function resourceSteps({ flags, given }: SpecRequest): oci.SpecMiddleware[] {
  const steps: oci.SpecMiddleware[] = [];
  const { cpus = 0, "cpu-shares": shares = 0, "cpu-quota": quota, "cpu-period": period } = flags;
  if (cpus > 0) steps.push(oci.withCpu({ quota: Math.trunc(cpus * cfsPeriod), period: cfsPeriod }));
  if (flags["cpuset-cpus"]) steps.push(oci.withCpu({ cpus: flags["cpuset-cpus"] }));
  if (flags["cpuset-mems"]) steps.push(oci.withCpu({ mems: flags["cpuset-mems"] }));
  if (shares > 0) steps.push(oci.withCpu({ shares }));
  if (quota !== -1 || period !== 0) {
    if (cpus > 0) throw new CtrError("cpus and quota/period should be used separately");
    steps.push(oci.withCpu({ quota, period }));
  }
  // An empty path given on purpose means no cgroup of its own.
  if (given.has("cgroup")) steps.push(oci.withCgroupsPath(flags.cgroup ?? ""));
  if (flags["memory-limit"] !== 0) steps.push(oci.withMemoryLimit(flags["memory-limit"]));
  return steps;
}

async function lastSteps({ flags }: SpecRequest): Promise<oci.SpecMiddleware[]> {
  const steps: oci.SpecMiddleware[] = [];
  if (flags["rootfs-propagation"] !== undefined) steps.push(oci.withRootfsPropagation(flags["rootfs-propagation"]));
  const { "blockio-class": blockIo, "blockio-config-file": classes, "rdt-class": closID } = flags;
  if (blockIo) steps.push(oci.withBlockIo(await (await import("./blockio.ts")).blockIoOf(blockIo, classes)));
  if (closID) steps.push(oci.withIntelRdt({ closID }));
  if (flags.hostname) steps.push(oci.withHostname(flags.hostname));
  if (flags["rlimit-nofile"]) steps.push(oci.withRlimits([parseOpenFiles(flags["rlimit-nofile"])]));
  if (flags.label.length > 0) steps.push(oci.withAnnotations(parseLabels(flags.label)));
  return steps;
}

/** `soft[:hard]` */
function parseOpenFiles(text: string): oci.Rlimit {
  const [soft = "", hard = soft, ...rest] = text.split(":");
  const wrong = [soft, [hard, ...rest].join(":")].find((part) => !/^\d{1,15}$/.test(part));
  if (wrong !== undefined)
    throw new CtrError(
      `failed to parse rlimit-nofile "${text}": strconv.ParseUint: parsing "${wrong}": invalid syntax`,
    );
  return { type: "RLIMIT_NOFILE", soft: Number(soft), hard: Number(hard) };
}

/** What `--uidmap` and `--gidmap` say; as ctr, nothing unless both are given. */
export function idMappingsOf(flags: SpecFlags): IdMappings | undefined {
  const { uidmap = [], gidmap = [] } = flags;
  if (uidmap.length === 0 || gidmap.length === 0) return undefined;
  return { uids: uidmap.map(parseIdMapping), gids: gidmap.map(parseIdMapping) };
}

/** Lines of `NAME=value`; blank ones and those that begin with "#" are left out. @throws CtrError */
function readEnvFile(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "" && !line.startsWith("#"));
  } catch (error) {
    throw isErrno(error, "ENOENT") ? new CtrError(`open ${path}: no such file or directory`) : error;
  }
}
