import { readFileSync } from "node:fs";
import { Options as RuncOptions } from "@hull/api/gen/containerd/runc/v1/options";
import { Options as OtherOptions } from "@hull/api/gen/runtimeoptions/v1/options";
import type { TypedBytes } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import { isTable } from "@hull/engine/plugin/config";
import { isOwnRuntime } from "@hull/engine/runtime/shim-binary";
import { invalidArgument, unknown } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import { stringify } from "smol-toml";
import type { CriConfig, HandlerConfig } from "./config.ts";
import { within } from "./wrap.ts";

/** A runtime handler: how the containers of some pods are run. */
export interface RuntimeHandler {
  readonly name: string;
  readonly config: HandlerConfig;
  /** Name of the runtime in records of containers. */
  readonly runtime: string;
  /** As `CreateTask.runtimePath`. */
  readonly runtimePath: string | undefined;
  /** What the shim is given. */
  readonly options: TypedBytes | undefined;
  readonly snapshotter: string;
  /** Hull's own shim serves it: logs, attach and pods without a pause process. */
  readonly own: boolean;
  /** How many of its pods may be in one shim. */
  readonly podsPerShim: number;
  /** Control groups are systemd's slices and scopes. */
  readonly systemdCgroup: boolean;
  /** What `base_runtime_spec` names. */
  readonly baseSpec: Spec | undefined;
}

/** The handlers of the configuration by name. */
export class RuntimeHandlers {
  readonly #handlers: ReadonlyMap<string, RuntimeHandler>;
  readonly #default: string;

  constructor({ runtime, images }: CriConfig, log: Logger) {
    const { runtimes, default_runtime_name } = runtime.containerd;
    this.#default = default_runtime_name;
    const handlers = Object.entries(runtimes).map(([name, config]) => {
      const snapshotter = config.snapshotter || images.runtime_platforms[name]?.snapshotter || images.snapshotter;
      return [name, handlerOf(name, config, { snapshotter, most: runtime.pods_per_shim, log })] as const;
    });
    this.#handlers = new Map(handlers);
  }

  /** By name; empty: the default one. @throws Unknown, as containerd, for one that isn't configured */
  get(name: string): RuntimeHandler {
    const wanted = name === "" ? this.#default : name;
    const found = this.#handlers.get(wanted);
    if (found === undefined) throw unknown(`no runtime for ${JSON.stringify(wanted)} is configured`);
    return found;
  }

  get defaultName(): string {
    return this.#default;
  }

  list(): RuntimeHandler[] {
    return [...this.#handlers.values()];
  }
}

function handlerOf(
  name: string,
  config: HandlerConfig,
  { snapshotter, most, log }: { snapshotter: string; most: number; log: Logger },
): RuntimeHandler {
  const { runtime_type: runtime, runtime_path, sandboxer, options } = config;
  const own = runtime_path === "" && isOwnRuntime(runtime);
  return {
    name,
    config,
    runtime,
    runtimePath: runtime_path === "" ? undefined : runtime_path,
    options: Object.keys(options).length === 0 ? undefined : shimOptions(config, name, log),
    snapshotter,
    own,
    podsPerShim: own && sandboxer !== "shim" ? most : 1,
    systemdCgroup: options.SystemdCgroup === true,
    baseSpec: config.base_runtime_spec === "" ? undefined : readSpec(config.base_runtime_spec),
  };
}

/** @throws InvalidArgument for a file that isn't there or has no spec */
function readSpec(file: string): Spec {
  const spec = within(
    `failed to load base OCI spec from file: ${file}`,
    () => JSON.parse(readFileSync(file, "utf8")) as unknown,
  );
  if (!isTable(spec) || !isTable(spec.process) || !isTable(spec.root) || !isTable(spec.linux))
    throw invalidArgument(`failed to load base OCI spec from file: ${file}: it needs "process", "root" and "linux"`);
  return { mounts: [], ...spec } as unknown as Spec;
}

/** The names that runc's options have in the configuration, and their fields. */
const runcFields: Readonly<Record<string, keyof RuncOptions>> = {
  NoPivotRoot: "noPivotRoot",
  NoNewKeyring: "noNewKeyring",
  ShimCgroup: "shimCgroup",
  IoUid: "ioUid",
  IoGid: "ioGid",
  BinaryName: "binaryName",
  Root: "root",
  SystemdCgroup: "systemdCgroup",
  CriuImagePath: "criuImagePath",
  CriuWorkPath: "criuWorkPath",
};

function shimOptions({ runtime_type, options }: HandlerConfig, name: string, log: Logger): TypedBytes {
  if (isOwnRuntime(runtime_type)) {
    const fields: Record<string, unknown> = {};
    const empty = RuncOptions.fromPartial({});
    for (const [key, value] of Object.entries(options)) {
      const field = runcFields[key];
      const where = { key: `containerd.runtimes.${name}.options.${key}` };
      if (field === undefined) log.log("warn", "an option of a runtime is not known and has no effect", where);
      else if (typeof value !== typeof empty[field])
        log.log("warn", `an option of a runtime must be a ${typeof empty[field]}, and has no effect`, where);
      else fields[field] = value;
    }
    return {
      typeUrl: "containerd.runc.v1.Options",
      value: RuncOptions.encode(RuncOptions.fromPartial(fields)).finish(),
    };
  }
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const configPath = text(options.ConfigPath);
  // A shim without a file of its own gets the whole table, as from containerd.
  const configBody = configPath === "" ? new TextEncoder().encode(stringify({ ...options })) : new Uint8Array();
  const message = OtherOptions.fromPartial({ typeUrl: text(options.TypeUrl), configPath, configBody });
  return { typeUrl: "runtimeoptions.v1.Options", value: OtherOptions.encode(message).finish() };
}
