import { RuntimeInfo } from "@hull/api/gen/containerd/types/introspection";
import type { TypedBytes } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import { isTable } from "@hull/engine/plugin/config";
import type { ShimDirectory } from "@hull/engine/runtime/shim-directory";
import type { Snapshotter } from "@hull/engine/snapshots/index";
import { HullError } from "@hull/errors";
import type { RuntimeHandler } from "./handlers.ts";

/** What the kubelet wants to know of a handler. */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

export interface RuntimeFeaturesOptions {
  readonly shims: Pick<ShimDirectory, "info">;
  /** As the task manager completes a runtime's options. */
  readonly optionsFor: (runtime: string, given: TypedBytes | undefined) => TypedBytes | undefined;
  /** For users of its own a pod needs a snapshotter that maps ids. */
  readonly snapshotters: ReadonlyMap<string, Pick<Snapshotter, "capabilities">>;
  readonly log: Logger;
}

/**
 * What runtimes can do, by what they say of themselves (OCI runtime spec, features.md). Asked for when somebody wants to know, since that starts
 * the runtime, and once.
 */
export class RuntimeFeatures {
  readonly #options: RuntimeFeaturesOptions;
  readonly #known = new Map<string, Promise<HandlerFeatures>>();

  constructor(options: RuntimeFeaturesOptions) {
    this.#options = options;
  }

  /** Nothing, of one that says nothing. */
  of(handler: RuntimeHandler): Promise<HandlerFeatures> {
    const known = this.#known.get(handler.name);
    if (known !== undefined) return known;
    const asked = this.#ask(handler).catch((error: unknown): HandlerFeatures => {
      const { message } = HullError.from(error);
      this.#options.log.log("debug", "a runtime doesn't tell its features", { runtime: handler.name, error: message });
      return { recursiveReadOnlyMounts: false, userNamespaces: false };
    });
    this.#known.set(handler.name, asked);
    return asked;
  }

  async #ask({ runtime, runtimePath, options, own, snapshotter }: RuntimeHandler): Promise<HandlerFeatures> {
    const { shims, optionsFor, snapshotters } = this.#options;
    const name = runtimePath ?? runtime;
    const { features } = RuntimeInfo.decode((await shims.info(name, optionsFor(name, options))).value);
    const told: unknown = JSON.parse(new TextDecoder().decode(features?.value));
    if (!isTable(told)) return { recursiveReadOnlyMounts: false, userNamespaces: false };
    const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
    const linux = isTable(told.linux) ? told.linux : {};
    const extensions = isTable(linux.mountExtensions) ? linux.mountExtensions : {};
    const idmap = isTable(extensions.idmap) && extensions.idmap.enabled === true;
    const mapsImages = snapshotters.get(snapshotter)?.capabilities.includes("remap-ids") === true;
    return {
      recursiveReadOnlyMounts: list(told.mountOptions).includes("rro"),
      // Our shim maps the owners of mounts itself.
      userNamespaces: list(linux.namespaces).includes("user") && (own || idmap) && mapsImages,
    };
  }
}
