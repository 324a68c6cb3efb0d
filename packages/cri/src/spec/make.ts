import type { ContainerConfig, Mount, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { isProfileLoaded, loadDefaultProfile } from "@hull/engine/apparmor/index";
import { type DeviceRegistry, devicesOfAnnotations } from "@hull/engine/cdi/index";
import type { Logger } from "@hull/engine/log";
import { HullError, unknown } from "@hull/errors";
import type { ImageConfig } from "@hull/oci/manifest";
import type { Seccomp, Spec } from "@hull/oci/spec";
import { deviceNodes } from "@hull/sys/device-nodes";
import type { CriRuntimeConfig } from "../config.ts";
import type { Pod } from "../model.ts";
import { within, withinLater } from "../wrap.ts";
import { refuseClasses } from "./classes.ts";
import { buildContainerSpec } from "./container.ts";
import { contexts } from "./contexts.ts";
import { resolveDevices } from "./devices.ts";
import type { HostFacts, LoadedProfiles, PodFiles, SpecHandler } from "./input.ts";
import { type HostPaths, imageVolumeMounts, podFileMounts, resolveMounts } from "./mounts.ts";
import { buildPauseSpec } from "./pause.ts";
import { wantedAppArmor, wantedSeccomp } from "./profiles.ts";
import type { RootfsFiles } from "./rootfs-files.ts";
import { loadSeccomp } from "./seccomp-file.ts";
import type { SelinuxLabeler, SelinuxLabels } from "./selinux.ts";
import { needsUserFiles, requestedUser } from "./user.ts";

/** All that looks at the host. */
export interface SpecHost {
  readonly facts: HostFacts;
  readonly paths: HostPaths;
  readonly selinux: SelinuxLabeler;
  readonly cdi: DeviceRegistry;
}

export interface ContainerSpecRequest {
  readonly id: string;
  readonly pod: Pod;
  /** As the request had it. */
  readonly podConfig: PodSandboxConfig;
  /** Image mounts have their place on the host in `hostPath` already. */
  readonly config: ContainerConfig;
  /** As the user named it. */
  readonly imageName: string;
  readonly image: ImageConfig;
  readonly handler: SpecHandler;
  /** The container's own directory, below which volumes of the image are made. */
  readonly containerRoot: string;
  readonly podFiles: PodFiles;
  readonly rootfs: RootfsFiles;
  /** Of the container whose pid namespace is joined (mode TARGET). */
  readonly targetPid?: number;
}

export interface PauseSpecRequest {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly imageName: string;
  readonly image: ImageConfig;
  readonly handler: SpecHandler;
  /** Those that are pinned already. */
  readonly namespaces: Pod["namespaces"];
  readonly podFiles: PodFiles;
  readonly rootfs: RootfsFiles;
  /** The pod's label; `ContainerSpecs.podLabels` makes it. */
  readonly labels: SelinuxLabels;
}

export interface MadeSpec {
  readonly spec: Spec;
  /** For the container's record, also where the process has none since it is privileged; give it back to `SelinuxLabeler.release` in the end. */
  readonly processLabel: string;
  /** Volumes that the image names: what the image has at each belongs into its directory before the container starts. */
  readonly volumes: readonly Mount[];
}

/** containerd's name for it: shared with a containerd of the same host. */
const defaultAppArmorProfile = "cri-containerd.apparmor.d";

/** Makes specs on a host. */
export class ContainerSpecs {
  readonly #settings: CriRuntimeConfig;
  readonly #host: SpecHost;
  readonly #log: Logger;
  #toldOfScore = false;

  constructor(settings: CriRuntimeConfig, host: SpecHost, log: Logger) {
    this.#settings = settings;
    this.#host = host;
    this.#log = log;
  }

  /** @throws Unknown, in containerd's words; InvalidArgument for devices of CDI that aren't there. Directories that it created stay */
  async container(request: ContainerSpecRequest): Promise<MadeSpec> {
    const { config, podConfig, image, handler, pod, id, imageName, targetPid } = request;
    const { facts, paths, selinux } = this.#host;
    const security = config.linux?.securityContext;
    const labels = within(contexts.options(id), () => {
      refuseClasses(config, podConfig, this.#settings);
      return selinux.label(security?.selinuxOptions, pod.processLabel);
    });
    try {
      const volumes = this.#settings.ignore_image_defined_volumes
        ? []
        : imageVolumeMounts(config, image, request.containerRoot);
      const abilities = { recursiveReadOnly: handler.recursiveReadOnly, mountLabel: labels.mount };
      const extra = [...podFileMounts(config, request.podFiles), ...volumes];
      const owned = this.#settings.device_ownership_from_security_context;
      const context = contexts.spec(id);
      const mounts = await withinLater(context, resolveMounts(config.mounts, extra, paths, abilities));
      const devices = await withinLater(context, resolveDevices(config, paths, owned));
      const profiles = await this.#profiles(security, true);
      if (security !== undefined) within(contexts.containerOptions, () => requestedUser(security));
      const users = needsUserFiles(security, image.config.user) ? await request.rootfs.users() : {};
      this.#tellOfScore(config);
      const spec = buildContainerSpec({
        id,
        pod,
        podConfig,
        config,
        imageName,
        image,
        handler,
        settings: this.#settings,
        host: facts,
        mounts,
        devices,
        ...(security?.privileged === true ? { hostDevices: deviceNodes() } : {}),
        users,
        profiles,
        labels,
        targetPid,
      });
      return { spec: await this.#withNamedDevices(spec, config), processLabel: labels.process, volumes };
    } catch (error) {
      if (labels.process !== pod.processLabel) selinux.release(labels.process);
      throw error;
    }
  }

  /** @throws Unknown, in containerd's words */
  async pause(request: PauseSpecRequest): Promise<Spec> {
    const { podFiles: files, rootfs, ...rest } = request;
    const security = request.config.linux?.securityContext;
    const asked = security && { ...security, apparmor: undefined, apparmorProfile: "" };
    const { seccomp } = await this.#profiles(asked, false);
    const users = request.image.config.user === "" && security?.runAsUser === undefined ? {} : await rootfs.users();
    return buildPauseSpec({
      ...rest,
      settings: this.#settings,
      host: this.#host.facts,
      files,
      users,
      profiles: { seccomp },
    });
  }

  /** Labels of a new pod; release the process's when it ends. @throws Unknown for a malformed level */
  podLabels(config: PodSandboxConfig): SelinuxLabels {
    return this.#host.selinux.label(config.linux?.securityContext?.selinuxOptions);
  }

  async #profiles(
    asked: (Parameters<typeof wantedSeccomp>[0] & Parameters<typeof wantedAppArmor>[0]) | undefined,
    confined: boolean,
  ): Promise<LoadedProfiles> {
    const { facts } = this.#host;
    const context = contexts.containerOptions;
    const apparmor = confined ? within(context, () => wantedAppArmor(asked, facts.apparmor)) : "unconfined";
    const seccomp = within(context, () => wantedSeccomp(asked, this.#settings, facts.seccomp));
    return {
      ...(seccomp === "unconfined"
        ? {}
        : { seccomp: seccomp === "default" ? seccomp : await this.#seccomp(seccomp.name) }),
      ...(apparmor === "unconfined" ? {} : { apparmor: await this.#apparmor(apparmor) }),
    };
  }

  #seccomp(path: string): Promise<Seccomp> {
    return withinLater(contexts.container, loadSeccomp(path));
  }

  async #apparmor(wanted: { readonly name: string } | "default"): Promise<string> {
    if (wanted === "default") {
      await withinLater(contexts.container, loadDefaultProfile(defaultAppArmorProfile));
      return defaultAppArmorProfile;
    }
    const why = "failed to generate apparmor spec opts: ";
    within(contexts.containerOptions, () => {
      if (wanted.name === "") throw unknown(`${why}${why}nil apparmor profile is not supported`);
      if (!isProfileLoaded(wanted.name)) throw unknown(`${why}apparmor profile not found ${wanted.name}`);
    });
    return wanted.name;
  }

  async #withNamedDevices(spec: Spec, { CDIDevices, annotations }: ContainerConfig): Promise<Spec> {
    const fields = CDIDevices.map(({ name }) => name);
    if (!this.#settings.enable_cdi) {
      if (fields.length === 0) return spec;
      throw unknown(
        `${contexts.containerOptions}: CDI devices (${fields.join(", ")}) requested but CDI support is explicitly disabled`,
      );
    }
    try {
      const names = [...new Set([...fields, ...devicesOfAnnotations(annotations)])];
      return names.length === 0 ? spec : await this.#host.cdi.inject(spec, names);
    } catch (error) {
      const { message } = HullError.from(error);
      const what = message.startsWith("CDI") ? "" : "failed to parse CDI device annotations: ";
      throw unknown(`${contexts.container}: ${what}${message}`, { cause: error });
    }
  }

  #tellOfScore({ linux }: ContainerConfig): void {
    const { own, mayLower } = this.#host.facts.oomScore;
    const wanted = Number(linux?.resources?.oomScoreAdj ?? 0);
    if (this.#toldOfScore || mayLower || wanted >= own || this.#settings.restrict_oom_score_adj) return;
    this.#toldOfScore = true;
    this.#log.log(
      "warn",
      "this host doesn't let the daemon lower OOM scores: containers have at least the daemon's own",
      {
        score: own,
      },
    );
  }
}
