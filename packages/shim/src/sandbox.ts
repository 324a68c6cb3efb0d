/**
 * The Sandbox service as it is registered: bytes go through to `sandbox-service.ts`, which the first call loads, with the messages. Most
 * shims keep a container alone and are never asked.
 */

import type { BoundMethod } from "@hull/api/handler";
import type { CallContext } from "@hull/api/rpc";
import { unimplemented } from "@hull/errors";
import type { SandboxHost } from "./sandbox-service.ts";

type Bytes = Uint8Array;

/** A message that is left as it is. */
const untouched = {
  encode: (message: Bytes) => ({ finish: () => message }),
  decode: (input: Bytes): Bytes => input,
  fromPartial: (message: Bytes): Bytes => message,
};

const method = <Name extends string>(name: Name) =>
  ({
    name,
    requestType: untouched,
    requestStream: false,
    responseType: untouched,
    responseStream: false,
    options: {},
  }) as const;

/** `containerd.runtime.sandbox.v1.Sandbox` with encoded messages. */
export const encodedSandboxDefinition = {
  name: "Sandbox",
  fullName: "containerd.runtime.sandbox.v1.Sandbox",
  methods: {
    createSandbox: method("CreateSandbox"),
    startSandbox: method("StartSandbox"),
    platform: method("Platform"),
    stopSandbox: method("StopSandbox"),
    waitSandbox: method("WaitSandbox"),
    sandboxStatus: method("SandboxStatus"),
    pingSandbox: method("PingSandbox"),
    shutdownSandbox: method("ShutdownSandbox"),
    sandboxMetrics: method("SandboxMetrics"),
  },
} as const;

type Handlers = Record<
  keyof typeof encodedSandboxDefinition.methods,
  (request: Bytes, call: CallContext) => Promise<Bytes>
>;

/** The handlers of `encodedSandboxDefinition`. */
export function encodedSandboxService(host: SandboxHost): Handlers {
  let loading: Promise<ReadonlyMap<string, BoundMethod>> | undefined;
  const call = async (name: string, request: Bytes, context: CallContext): Promise<Bytes> => {
    loading ??= import("./sandbox-service.ts").then(({ boundSandboxService }) => boundSandboxService(host));
    const bound = (await loading).get(name);
    if (bound === undefined) throw unimplemented(`method "${encodedSandboxDefinition.fullName}/${name}" is not served`);
    return await bound.unary(request, context);
  };
  const entries = Object.entries(encodedSandboxDefinition.methods).map(([key, { name }]) => [
    key,
    (request: Bytes, context: CallContext) => call(name, request, context),
  ]);
  return Object.fromEntries(entries) as Handlers;
}
