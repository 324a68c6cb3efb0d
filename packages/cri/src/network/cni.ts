import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { type Attachment, Cni, type KeptAttachment, type Network, type RunPlugin } from "@hull/cni";
import type { Logger } from "@hull/engine/log";
import { HullError, unknown } from "@hull/errors";
import { isNamespace } from "@hull/sys/namespace";
import type { CriConfig, HandlerConfig } from "../config.ts";
import { cniArgs, cniCapabilities } from "./arguments.ts";
import { NetworkDirectory, notInitialized } from "./directory.ts";
import type { Attached, NetworkedPod, PodNetworkManager } from "./index.ts";
import { goCniResult, selectAddresses } from "./result.ts";
import { renderTemplate } from "./template.ts";

export interface PodNetworksOptions {
  readonly config: CriConfig["runtime"];
  /** Where what was added is kept until it is removed: a directory of our own. */
  readonly cacheDirectory: string;
  /** Where others keep theirs, containerd among them; libcni's default unless told. */
  readonly sharedCacheDirectory?: string;
  /** Runs plugins; as children of this process unless told. */
  readonly run?: RunPlugin;
  readonly log: Logger;
}

/** The name of the common networks among those of handlers. */
const common = "default";

const templateFile = "10-containerd-net.conflist";

/** See `PodNetworkManager`. */
export class CniPodNetworks implements PodNetworkManager {
  readonly #config: CriConfig["runtime"]["cni"];
  readonly #log: Logger;
  readonly #own: Cni;
  readonly #shared: Cni;
  readonly #common: NetworkDirectory;
  readonly #handlers: ReadonlyMap<string, NetworkDirectory>;

  constructor({ config, cacheDirectory, sharedCacheDirectory = "/var/lib/cni", run, log }: PodNetworksOptions) {
    this.#config = config.cni;
    this.#log = log;
    const { bin_dir, bin_dirs, conf_dir, max_conf_num } = config.cni;
    const pluginDirectories = bin_dir === "" ? bin_dirs : [bin_dir];
    this.#own = new Cni({ pluginDirectories, cacheDirectory, run });
    this.#shared = new Cni({ pluginDirectories, cacheDirectory: sharedCacheDirectory, run });
    this.#common = new NetworkDirectory(conf_dir, max_conf_num, log);
    const ownNetworks = Object.entries(config.containerd.runtimes).filter(
      ([, { cni_conf_dir }]) => cni_conf_dir !== "",
    );
    const directoryOf = ({ cni_conf_dir, cni_max_conf_num }: HandlerConfig) =>
      new NetworkDirectory(cni_conf_dir, cni_max_conf_num === 0 ? max_conf_num : cni_max_conf_num, log);
    this.#handlers = new Map(ownNetworks.map(([name, handler]) => [name, directoryOf(handler)]));
  }

  start(): void {
    this.#common.watch();
    for (const directory of this.#handlers.values()) directory.watch();
  }

  async ready(signal?: AbortSignal): Promise<string | undefined> {
    try {
      for (const network of this.#common.networks) {
        // Only networks of 1.1 have anything to say; containerd asks no others.
        if (!/^(0\.|1\.0\.)/.test(network.cniVersion)) await this.#own.status(network, signalOption(signal));
      }
      return undefined;
    } catch (error) {
      return HullError.from(error).message;
    }
  }

  async add(pod: NetworkedPod, signal?: AbortSignal): Promise<Attached> {
    const { networks } = this.#directoryOf(pod.runtimeHandler);
    const capabilities = cniCapabilities(pod.config);
    const attachmentAt = (at: number): Attachment => ({
      containerId: pod.id,
      netns: pod.netns,
      interfaceName: `eth${at}`,
      args: cniArgs(pod.id, pod.config),
      capabilities,
    });
    const addOne = (network: Network, at: number) => this.#own.add(network, attachmentAt(at), signalOption(signal));
    const results = this.#config.setup_serially ? await serially(networks, addOne) : await sideBySide(networks, addOne);
    const result = goCniResult(pod.netns, results);
    return { ...selectAddresses(pod.id, result, this.#config.ip_pref), result };
  }

  async remove(pod: NetworkedPod, signal?: AbortSignal): Promise<void> {
    const kept = this.#own.kept(pod.id);
    if (kept.length > 0) return await this.#removeKept(this.#own, kept, pod.netns, signal);
    // Added by containerd, whose pod this was.
    const theirs = this.#shared.kept(pod.id);
    if (theirs.length > 0) return await this.#removeKept(this.#shared, theirs, pod.netns, signal);
    // Nobody saw it end: what half of it did the plugins know by its id.
    const networks = this.#directoryOf(pod.runtimeHandler).loaded;
    const args = cniArgs(pod.id, pod.config);
    const unseen = networks.map((network, at) => ({
      network,
      attachment: { containerId: pod.id, netns: pod.netns, interfaceName: `eth${at}`, args },
    }));
    await this.#removeKept(this.#own, unseen, pod.netns, signal);
  }

  async #removeKept(cni: Cni, kept: readonly KeptAttachment[], netns: string, signal?: AbortSignal): Promise<void> {
    for (const { network, attachment } of kept) {
      await cni.remove(
        network,
        { ...attachment, netns },
        {
          ...signalOption(signal),
          leaveOut: (error) => this.#mayBeLeft(error, network, attachment, netns),
        },
      );
    }
  }

  /** What is gone can't be removed any more, and what isn't installed is collected when it is back. */
  #mayBeLeft(error: HullError, network: Network, { containerId }: Attachment, netns: string): boolean {
    const isMissing = error.code === "notFound";
    const isGone =
      error.message.includes("not found") || (netns === "" && /no such file or directory/i.test(error.message));
    if (!isMissing && !isGone) return false;
    const fields = { pod: containerId, network: network.name, error: error.message };
    this.#log.log("warn", "a part of a pod's network could not be removed and was left out", fields);
    return true;
  }

  async collect(podIds: ReadonlySet<string>): Promise<void> {
    const kept = this.#own.kept();
    for (const { network, attachment } of kept.filter(({ attachment }) => !podIds.has(attachment.containerId))) {
      const netns = isNamespace(attachment.netns) ? attachment.netns : "";
      await this.#removeKept(this.#own, [{ network, attachment }], netns).catch((error: unknown) => {
        const fields = { pod: attachment.containerId, network: network.name, error: HullError.from(error).message };
        this.#log.log("warn", "what an earlier run left of a network could not be removed", fields);
      });
    }
    // Networks of the same name may be used by other programs: what they have in a namespace that is there counts.
    const others = this.#shared.kept().filter(({ attachment }) => isNamespace(attachment.netns));
    for (const network of [...new Map(this.#allNetworks().map((network) => [network.name, network])).values()]) {
      const valid = [...kept.filter(({ attachment }) => podIds.has(attachment.containerId)), ...others];
      const attachments = valid.filter((one) => one.network.name === network.name).map((one) => one.attachment);
      await this.#own.collect(network, attachments).catch((error: unknown) => {
        const fields = { network: network.name, error: HullError.from(error).message };
        this.#log.log("warn", "a network could not collect what nobody uses", fields);
      });
    }
  }

  async configure(podCidrs: string): Promise<void> {
    if (podCidrs === "") return;
    const ranges = podCidrs.split(",").map((range) => range.trim());
    const families = ranges.map(familyOf);
    const routes = [...(families.includes(4) ? ["0.0.0.0/0"] : []), ...(families.includes(6) ? ["::/0"] : [])];
    const { conf_template, conf_dir } = this.#config;
    const skipped = (why: string) => this.#log.log("info", why, { template: conf_template });
    if (conf_template === "")
      return skipped("No cni config template is specified, wait for other system components to drop the config.");
    if ((await this.ready()) === undefined)
      return skipped("Network plugin is ready, skip generating cni config from template");
    this.#common.load();
    if (this.#common.status === "OK")
      return skipped("CNI config is successfully loaded, skip generating cni config from template");
    writeFromTemplate(conf_template, conf_dir, { PodCIDR: ranges[0] ?? "", PodCIDRRanges: ranges, Routes: routes });
  }

  loadStatus(): Readonly<Record<string, string>> {
    const handlers = [...this.#handlers].map(([name, directory]) => [name, directory.status] as const);
    return Object.fromEntries([[common, this.#common.status], ...handlers]);
  }

  describe(): unknown {
    const { bin_dir, bin_dirs, conf_dir, max_conf_num } = this.#config;
    return {
      PluginDirs: bin_dir === "" ? bin_dirs : [bin_dir],
      PluginConfDir: conf_dir,
      PluginMaxConfNum: max_conf_num,
      Prefix: "eth",
      Networks: this.#common.loaded.map(({ name, cniVersion, plugins, text }, at) => ({
        Config: {
          Name: name,
          CNIVersion: cniVersion,
          Plugins: plugins.map((plugin) => ({ Network: plugin, Source: JSON.stringify(plugin) })),
          Source: text,
        },
        IFName: `eth${at}`,
      })),
    };
  }

  close(): void {
    for (const directory of [this.#common, ...this.#handlers.values()]) directory[Symbol.dispose]();
  }

  #directoryOf(runtimeHandler: string): NetworkDirectory {
    return this.#handlers.get(runtimeHandler) ?? this.#common;
  }

  #allNetworks(): Network[] {
    return [this.#common, ...this.#handlers.values()].flatMap(({ loaded }) => loaded);
  }
}

export { notInitialized };

const signalOption = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });

async function serially<T, R>(values: readonly T[], work: (value: T, at: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [at, value] of values.entries()) results.push(await work(value, at));
  return results;
}

/** All of them are over when this is, so that what is undone stays undone. */
async function sideBySide<T, R>(values: readonly T[], work: (value: T, at: number) => Promise<R>): Promise<R[]> {
  const settled = await Promise.allSettled(values.map(work));
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}

/** @throws Unknown in Go's words */
function familyOf(cidr: string): 4 | 6 {
  const [address = "", length = "", ...rest] = cidr.split("/");
  const family = isIP(address);
  const most = family === 4 ? 32 : 128;
  if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > most)
    throw unknown(`get routes: invalid CIDR address: ${cidr}`);
  return family === 4 ? 4 : 6;
}

function writeFromTemplate(template: string, directory: string, values: Parameters<typeof renderTemplate>[1]): void {
  let text: string;
  try {
    text = renderTemplate(readFileSync(template, "utf8"), values);
  } catch (error) {
    const { message } = HullError.from(error);
    throw unknown(`failed to parse cni config template ${JSON.stringify(template)}: ${message}`, { cause: error });
  }
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, templateFile);
  // By a name that isn't a configuration's, so that nobody reads half of it.
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}
