import { failedPrecondition, HullError, invalidArgument } from "@hull/errors";
import { ResultCache } from "./cache.ts";
import { compareVersions, type Network, type NetworkPlugin, parseNetwork } from "./network.ts";
import { type Command, callPlugin, findPlugin, type RunPlugin, runPlugin } from "./plugin.ts";
import { parseResult, type Result } from "./result.ts";

/** A container's place in a network. */
export interface Attachment {
  /** Letters, digits, "_", "." and "-". */
  readonly containerId: string;
  /** Path of the network namespace; empty for removing where it is gone. */
  readonly netns: string;
  /** Name of the interface inside: `eth0`. */
  readonly interfaceName: string;
  /** For CNI_ARGS. */
  readonly args?: readonly (readonly [key: string, value: string])[];
  /** For plugins that say in `capabilities` that they take them: `portMappings`, `bandwidth`, `ips` … */
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

/** An attachment that was added and not removed since, and its network as it was then. */
export interface KeptAttachment {
  readonly network: Network;
  readonly attachment: Attachment;
}

export interface CniOptions {
  /** Where plugins are looked for, in order. */
  readonly pluginDirectories: readonly string[];
  /** Where results are kept; libcni's default unless told. */
  readonly cacheDirectory?: string;
  /** Runs plugins; as children of this process unless told. */
  readonly run?: RunPlugin | undefined;
}

const defaultCache = "/var/lib/cni";

/** Calls the plugins of networks. See `index.ts` for the life cycle; one value serves any number of attachments at once. */
export class Cni {
  readonly #directories: readonly string[];
  readonly #cache: ResultCache;
  readonly #run: RunPlugin;

  constructor({ pluginDirectories, cacheDirectory = defaultCache, run = runPlugin }: CniOptions) {
    this.#directories = pluginDirectories;
    this.#run = run;
    this.#cache = new ResultCache(cacheDirectory);
  }

  /**
   * Attaches a container to a network. If a plugin fails, what the ones before it did is taken back.
   * @throws CniError, NotFound for a plugin that isn't installed, InvalidArgument for names that can't be
   */
  async add(network: Network, attachment: Attachment, { signal }: { signal?: AbortSignal } = {}): Promise<Result> {
    checkAttachment(attachment);
    let result: unknown;
    try {
      for (const plugin of network.plugins)
        result = await this.#call("ADD", network, plugin, attachment, { prevResult: result, signal });
    } catch (error) {
      await this.remove(network, attachment).catch(() => {});
      throw error;
    }
    this.#cache.write(network, attachment, result);
    return parseResult(result);
  }

  /**
   * Takes a container off a network. Fine for one that isn't on it.
   *
   * @param options.leaveOut is asked about each failure: if it gives true, the other plugins are called all the same, and what is known of
   * the attachment is kept, so that it can be removed once more.
   * @throws CniError
   */
  async remove(
    network: Network,
    attachment: Attachment,
    { signal, leaveOut = () => false }: { signal?: AbortSignal; leaveOut?: (error: HullError) => boolean } = {},
  ): Promise<void> {
    checkAttachment(attachment);
    const cached = this.#cache.read(network, attachment);
    const known = withCached(attachment, cached);
    const prevResult = atLeast(network.cniVersion, "0.4.0") ? cached?.result : undefined;
    let complete = true;
    for (const plugin of network.plugins.toReversed()) {
      try {
        await this.#call("DEL", network, plugin, known, { prevResult, signal });
      } catch (error) {
        if (!leaveOut(HullError.from(error)))
          throw wrapped(error, `failed to destroy network for sandbox "${attachment.containerId}"`);
        complete = false;
      }
    }
    if (complete) this.#cache.remove(network, attachment);
  }

  /**
   * Asks whether an attachment is as it was made.
   * @throws CniError saying what isn't; FailedPrecondition for one that was never made, or a network of a version without checks
   */
  async check(network: Network, attachment: Attachment, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    checkAttachment(attachment);
    if (!atLeast(network.cniVersion, "0.4.0"))
      throw failedPrecondition(
        `network "${network.name}" has version ${network.cniVersion} of the configuration: checks came with 0.4.0`,
      );
    if (network.disableCheck) return;
    const cached = this.#cache.read(network, attachment);
    if (cached === undefined)
      throw failedPrecondition(`container "${attachment.containerId}" is not known to be on network "${network.name}"`);
    for (const plugin of network.plugins)
      await this.#call("CHECK", network, plugin, withCached(attachment, cached), { prevResult: cached.result, signal });
  }

  /** What adding an attachment answered, while it lasts. */
  resultOf(network: Network, attachment: Attachment): Result | undefined {
    const cached = this.#cache.read(network, attachment);
    return cached === undefined ? undefined : parseResult(cached.result);
  }

  /** Asks whether containers can be added to a network now; networks before version 1.1.0 always say yes. @throws CniError */
  async status(network: Network, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (!atLeast(network.cniVersion, "1.1.0")) {
      for (const { type } of network.plugins) findPlugin(type, this.#directories);
      return;
    }
    for (const plugin of network.plugins) await this.#call("STATUS", network, plugin, undefined, { signal });
  }

  /** The attachments, or those of one container, that were added and not removed since, and whose network can still be told. */
  kept(containerId?: string): KeptAttachment[] {
    return this.#cache.list(containerId).flatMap((cached): KeptAttachment[] => {
      try {
        const network = parseNetwork(Buffer.from(cached.config, "base64").toString("utf8"), "the cache");
        const { containerId, ifName: interfaceName, netns = "" } = cached;
        return [{ network, attachment: withCached({ containerId, interfaceName, netns }, cached) }];
      } catch {
        return [];
      }
    });
  }

  /**
   * Has the plugins of a network let go of all attachments but these: CNI specification, section 2 "GC". All are asked, whatever one of
   * them says. Nothing happens for networks before version 1.1.0, and those that don't want it. @throws CniError, of the first that fails
   */
  async collect(
    network: Network,
    valid: readonly Pick<Attachment, "containerId" | "interfaceName">[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<void> {
    if (!atLeast(network.cniVersion, "1.1.0") || network.disableGc) return;
    const attachments = valid.map(({ containerId, interfaceName }) => ({
      containerID: containerId,
      ifname: interfaceName,
    }));
    const failures: unknown[] = [];
    for (const plugin of network.plugins) {
      const config = { ...plugin, "cni.dev/valid-attachments": attachments };
      await this.#call("GC", network, config, undefined, { signal }).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  async #call(
    command: Command,
    network: Network,
    plugin: NetworkPlugin,
    attachment: Attachment | undefined,
    { prevResult, signal }: { prevResult?: unknown; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    const { capabilities, ...own } = plugin;
    const runtimeConfig = Object.fromEntries(
      Object.entries(attachment?.capabilities ?? {}).filter(([name]) => capabilities?.[name] === true),
    );
    const config = {
      ...own,
      name: network.name,
      cniVersion: network.cniVersion,
      ...(capabilities === undefined ? {} : { capabilities }),
      ...(Object.keys(runtimeConfig).length === 0 ? {} : { runtimeConfig }),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
    const env = { CNI_PATH: this.#directories.join(":"), ...(attachment === undefined ? {} : envOf(attachment)) };
    const path = findPlugin(plugin.type, this.#directories);
    return await callPlugin({ command, path, type: plugin.type, config, env, run: this.#run, signal });
  }
}

/** CNI specification, section 2 "Parameters". */
function envOf({ containerId, netns, interfaceName, args = [] }: Attachment): Record<string, string> {
  return {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: interfaceName,
    CNI_ARGS: args.map(([key, value]) => `${key}=${value}`).join(";"),
  };
}

/** What was said when it was added counts where nothing is said now. */
function withCached(attachment: Attachment, cached: ReturnType<ResultCache["read"]>): Attachment {
  if (cached === undefined) return attachment;
  const args = attachment.args ?? cached.cniArgs;
  const capabilities = attachment.capabilities ?? cached.capabilityArgs;
  return {
    ...attachment,
    ...(args === undefined ? {} : { args }),
    ...(capabilities === undefined ? {} : { capabilities }),
  };
}

/** @throws InvalidArgument */
function checkAttachment({ containerId, interfaceName, args = [] }: Attachment): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId))
    throw invalidArgument(`container id "${containerId}" must be letters, digits, "_", "." and "-"`);
  if (
    interfaceName === "" ||
    interfaceName.length > 15 ||
    interfaceName.startsWith(".") ||
    /[/:\s]/.test(interfaceName)
  )
    throw invalidArgument(`"${interfaceName}" can't be the name of a network interface`);
  const wrong = args.find((pair) => pair.some((text) => /[;=]/.test(text)));
  if (wrong !== undefined)
    throw invalidArgument(`CNI argument "${wrong.join("=")}" has a ";" or "=" in its key or value`);
}

const atLeast = (version: string, least: string): boolean => compareVersions(version, least) >= 0;

function wrapped(thrown: unknown, before: string): HullError {
  const error = HullError.from(thrown);
  return new HullError(error.code, `${before}: ${error.message}`, { cause: thrown });
}
