import { ImageServiceDefinition, RuntimeServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { CallContext, ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";
import type { ContainerStore } from "@hull/engine/containers/index";
import { contextFor } from "@hull/engine/context";
import type { PluginInit } from "@hull/engine/plugin/index";
import { pluginTypes } from "@hull/engine/plugin/types";
import type { SandboxStore } from "@hull/engine/sandbox/index";
import { HullError, unavailable, unimplemented } from "@hull/errors";
import type { CriConfig, CriGrpcConfig } from "./config.ts";
import type { Cri } from "./cri.ts";
import { criNamespace } from "./model.ts";
import { kindLabel } from "./records/labels.ts";

/** Services as a server takes them, and what brings back the pods of an earlier run. */
export interface CriServices {
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: ServiceImplementation<ServiceDefinition>;
  }[];
  /** Called once, when tasks are known again. */
  begin(): Promise<void>;
}

type Handlers = Readonly<Record<string, ((request: unknown, call: CallContext) => unknown) | undefined>>;

/**
 * Kubernetes' services. Where an earlier run has left pods they are brought back at once, and until that is done calls are Unavailable; else
 * nothing of the CRI is loaded before the first call, which waits for it.
 */
export function criServices(init: PluginInit<CriGrpcConfig>, config: CriConfig): CriServices {
  let started: Promise<Cri> | undefined;
  let cri: Cri | undefined;
  let failure: HullError | undefined;
  let onDemand = false;
  const start = async (): Promise<Cri> => {
    try {
      const { startCri } = await import("./cri.ts");
      cri = await startCri(init, config);
      return cri;
    } catch (error) {
      const { message } = HullError.from(error);
      init.log.log("error", "the CRI could not be started", { error: message });
      failure = unavailable(`the CRI could not be started: ${message}`, { cause: error });
      throw failure;
    }
  };
  const handlersOf = (kind: keyof Cri): Handlers | Promise<Handlers> => {
    if (cri !== undefined) return cri[kind] as Handlers;
    if (failure !== undefined) throw failure;
    if (!onDemand) throw unavailable("server is not initialized yet");
    started ??= start();
    return started.then((parts) => parts[kind] as Handlers);
  };
  const served = (kind: keyof Cri, definition: ServiceDefinition) => {
    const methods = Object.entries(definition.methods).map(([name, method]) => {
      const handlerIn = (handlers: Handlers) => {
        const found = handlers[name];
        if (found === undefined) throw unimplemented(`method ${method.name} not implemented`);
        return found;
      };
      const handler = method.responseStream
        ? async function* (request: unknown, call: CallContext) {
            yield* handlerIn(await handlersOf(kind))(request, call) as AsyncIterable<unknown>;
          }
        : async (request: unknown, call: CallContext) => await handlerIn(await handlersOf(kind))(request, call);
      return [name, handler];
    });
    return { definition, implementation: Object.fromEntries(methods) as ServiceImplementation<ServiceDefinition> };
  };
  return {
    services: [served("runtime", RuntimeServiceDefinition), served("images", ImageServiceDefinition)],
    async begin() {
      if (await hasPods(init)) await start().catch(() => undefined);
      else onDemand = true;
    },
  };
}

/** Whether there is anything of an earlier run. */
async function hasPods({ get }: PluginInit<CriGrpcConfig>): Promise<boolean> {
  const ctx = contextFor(criNamespace);
  const pods = await get<SandboxStore>(pluginTypes.sandboxStore).list(ctx);
  if (pods.length > 0) return true;
  const containers = get<ContainerStore>(pluginTypes.service, "containers-service");
  return (await containers.list(ctx, [`labels."${kindLabel}"`])).length > 0;
}
