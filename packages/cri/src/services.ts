import { ImageServiceDefinition, RuntimeServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { CallContext, ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";
import type { PluginInit } from "@hull/engine/plugin/index";
import { HullError, unavailable, unimplemented } from "@hull/errors";
import type { CriConfig, CriGrpcConfig } from "./config.ts";
import type { Cri } from "./cri.ts";

/** Services as a server takes them, and what brings back the pods of an earlier run. */
export interface CriServices {
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: ServiceImplementation<ServiceDefinition>;
  }[];
  /** Called once, when tasks are known again. Until it resolves all calls are Unavailable. */
  begin(): Promise<void>;
}

type Handlers = Readonly<Record<string, ((request: unknown, call: CallContext) => unknown) | undefined>>;

/** Kubernetes' services, which know of no pod until they are begun. */
export function criServices(init: PluginInit<CriGrpcConfig>, config: CriConfig): CriServices {
  let handlers: { readonly runtime: Handlers; readonly images: Handlers } | undefined;
  let failure: HullError | undefined;
  const served = (kind: "runtime" | "images", definition: ServiceDefinition) => {
    const methods = Object.entries(definition.methods).map(([name, method]) => {
      const handler = (request: unknown, call: CallContext) => {
        if (handlers === undefined) throw failure ?? unavailable("server is not initialized yet");
        const found = handlers[kind][name];
        if (found === undefined) throw unimplemented(`method ${method.name} not implemented`);
        return found(request, call);
      };
      return [
        name,
        method.responseStream ? streaming(handler) : async (...args: [unknown, CallContext]) => await handler(...args),
      ];
    });
    return { definition, implementation: Object.fromEntries(methods) as ServiceImplementation<ServiceDefinition> };
  };
  return {
    services: [served("runtime", RuntimeServiceDefinition), served("images", ImageServiceDefinition)],
    async begin() {
      try {
        const { startCri } = await import("./cri.ts");
        const cri: Cri = await startCri(init, config);
        handlers = { runtime: cri.runtime as Handlers, images: cri.images as Handlers };
      } catch (error) {
        const { message } = HullError.from(error);
        init.log.log("error", "the CRI could not be started", { error: message });
        failure = unavailable(`the CRI could not be started: ${message}`);
      }
    },
  };
}

/** Errors before the first message are thrown when the stream is read, as those after it. */
const streaming = (handler: (request: unknown, call: CallContext) => unknown) =>
  async function* (request: unknown, call: CallContext) {
    yield* handler(request, call) as AsyncIterable<unknown>;
  };
