import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Mount } from "@hull/api/gen/containerd/types/mount";
import type { PlatformImage } from "@hull/client/images";
import { devicesAt, hostDevices, ownCapabilities, userInRoot } from "@hull/client/io/host";
import { HullError } from "@hull/errors";
import { hostPlatform } from "@hull/oci/platform";
import * as oci from "@hull/oci/spec";
import { isErrno } from "@hull/sys/errno";
import type { FlagValues } from "../command/index.ts";
import type { containerFlags, runFlags } from "./container-flags.ts";
import { CtrError } from "./errors.ts";
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
export function makeSpec(request: SpecRequest): oci.Spec {
  const { flags, namespace, id } = request;
  if (flags.config !== undefined) return specFromFile(flags.config);
  const start = oci.defaultSpec({ namespace, id, cgroup2: false });
  return oci.buildSpec(
    start,
    ...processSteps(request),
    ...isolationSteps(request),
    ...resourceSteps(request),
    ...lastSteps(request),
  );
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
  if (image === undefined) steps.push(oci.withEnv([oci.defaultPath]));
  else steps.push(...imageSteps(image, args, mounts, flags.user));
  steps.push(oci.withEnv(env), oci.withMounts(flags.mount.map(parseMount)));
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
  if (flags.privileged) steps.push(oci.withPrivileged({ capabilities: ownCapabilities(), devices: hostDevices() }));
  if (flags["net-host"]) steps.push(oci.withHostNetwork(hostname()));
  if (flags.annotation.length > 0) steps.push(oci.withAnnotations(parseLabels(flags.annotation)));
  for (const name of [...flags["cap-add"], ...flags["cap-drop"]]) {
    if (!name.startsWith("CAP_")) throw new CtrError("capabilities must be specified with 'CAP_' prefix");
  }
  if (flags["cap-add"].length > 0) steps.push(oci.withAddedCapabilities(flags["cap-add"]));
  if (flags["cap-drop"].length > 0) steps.push(oci.withDroppedCapabilities(flags["cap-drop"]));
  steps.push(...seccompSteps(flags));
  const profile = flags["apparmor-profile"];
  if (profile !== undefined)
    steps.push((spec) => ({ ...spec, process: { ...spec.process, apparmorProfile: profile } }));
  for (const text of flags["with-ns"]) steps.push(oci.withNamespace(parseNamespace(text)));
  if (given.has("allow-new-privs")) steps.push(oci.withNoNewPrivileges(!flags["allow-new-privs"]));
  return steps;
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

function lastSteps({ flags }: SpecRequest): oci.SpecMiddleware[] {
  const steps: oci.SpecMiddleware[] = flags.device.map((path) => oci.withDevices(devicesAt(path)));
  if (flags["rootfs-propagation"] !== undefined) steps.push(oci.withRootfsPropagation(flags["rootfs-propagation"]));
  if (flags.hostname !== undefined) steps.push(oci.withHostname(flags.hostname));
  if (flags.label.length > 0) steps.push(oci.withAnnotations(parseLabels(flags.label)));
  return steps;
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
