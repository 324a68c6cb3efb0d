import { SandboxCreate, SandboxExit, SandboxStart } from "@hull/api/gen/containerd/events/sandbox";
import { ControllerDefinition, StoreDefinition } from "@hull/api/gen/containerd/services/sandbox/v1/sandbox";
import { Sandbox as WireSandbox } from "@hull/api/gen/containerd/types/sandbox";
import { timestampOfNanos } from "@hull/api/timestamp";
import { encodeAny } from "@hull/api/typeurl";
import type { Context } from "@hull/engine/context";
import type { EventExchange } from "@hull/engine/events/index";
import type { CreateSandbox, SandboxController } from "@hull/engine/sandbox/controller";
import type { Sandbox, SandboxInput, SandboxStore } from "@hull/engine/sandbox/index";
import { notFound } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireMount, need } from "./wire.ts";

/** The records of sandboxes. */
export const sandboxStoreService = (sandboxes: SandboxStore): Service =>
  service(StoreDefinition, {
    async create({ sandbox }, call) {
      return { sandbox: toWireSandbox(await sandboxes.create(contextOf(call), fromWireSandbox(sandbox))) };
    },
    async update({ sandbox, fields }, call) {
      return { sandbox: toWireSandbox(await sandboxes.update(contextOf(call), fromWireSandbox(sandbox), fields)) };
    },
    async delete({ sandboxId }, call) {
      await sandboxes.delete(contextOf(call), sandboxId);
      return {};
    },
    async list({ filters }, call) {
      return { list: (await sandboxes.list(contextOf(call), filters)).map(toWireSandbox) };
    },
    async get({ sandboxId }, call) {
      return { sandbox: toWireSandbox(await sandboxes.get(contextOf(call), sandboxId)) };
    },
  });

/** What the service of the controllers works with. */
export interface SandboxParts {
  /** By the name that requests choose them by. */
  controllers: ReadonlyMap<string, SandboxController>;
  sandboxes: SandboxStore;
  events: EventExchange;
}

/** The controller of requests that name none. */
const defaultController = "shim";

/** Sandboxes that run, each by the controller that the request names. */
export const sandboxControllerService = ({ controllers, sandboxes, events }: SandboxParts): Service => {
  const named = (given: string): SandboxController => {
    // Clients of containerd that name none, `ctr sandboxes run` among them, fail there.
    const name = given === "" ? defaultController : given;
    const controller = controllers.get(name);
    if (controller === undefined) throw notFound(`failed to get sandbox controller by ${name}`);
    return controller;
  };
  const create = async (
    ctx: Context,
    controller: SandboxController,
    sandbox: SandboxInput,
    options?: CreateSandbox,
  ): Promise<void> => {
    await controller.create(ctx, sandbox, options);
    const event = encodeAny("containerd.events.SandboxCreate", SandboxCreate, { sandboxId: sandbox.id });
    events.publish(ctx, "/sandboxes/create", event);
  };
  return service(ControllerDefinition, {
    async create({ sandboxId, sandboxer, sandbox, rootfs, options, netnsPath, annotations }, call) {
      const ctx = contextOf(call);
      const controller = named(sandboxer);
      // A client that has stored the sandbox need not send it again.
      const wanted = sandbox === undefined ? await sandboxes.get(ctx, sandboxId) : fromWireSandbox(sandbox);
      const id = sandboxId === "" ? wanted.id : sandboxId;
      const surroundings = { rootfs: rootfs.map(fromWireMount), options, netnsPath, annotations };
      await create(ctx, controller, { ...wanted, id }, surroundings);
      return { sandboxId: id };
    },
    async start({ sandboxId, sandboxer }, call) {
      const ctx = contextOf(call);
      const controller = named(sandboxer);
      // `ctr sandboxes run` stores it and starts it, and asks nobody to create it.
      if (sandboxer === "") await create(ctx, controller, await sandboxes.get(ctx, sandboxId));
      const { pid, createdAt, spec, address, version } = await controller.start(ctx, sandboxId);
      const event = encodeAny("containerd.events.SandboxStart", SandboxStart, { sandboxId });
      events.publish(ctx, "/sandboxes/start", event);
      return { sandboxId, pid, createdAt: timestampOfNanos(createdAt), labels: {}, address, version, spec };
    },
    async platform({ sandboxId, sandboxer }, call) {
      return { platform: await named(sandboxer).platform(contextOf(call), sandboxId) };
    },
    async stop({ sandboxId, sandboxer, timeoutSecs }, call) {
      await named(sandboxer).stop(contextOf(call), sandboxId, timeoutSecs);
      return {};
    },
    async wait({ sandboxId, sandboxer }, call) {
      const ctx = contextOf(call);
      const exit = await named(sandboxer).wait(ctx, sandboxId);
      const end = { exitStatus: exit.exitStatus, exitedAt: timestampOfNanos(exit.exitedAt) };
      // Told by whoever waited, as containerd does.
      const event = encodeAny("containerd.events.SandboxExit", SandboxExit, { sandboxId, ...end });
      events.publish(ctx, "/sandboxes/exit", event);
      return end;
    },
    async status({ sandboxId, sandboxer, verbose }, call) {
      const status = await named(sandboxer).status(contextOf(call), sandboxId, verbose);
      return {
        sandboxId,
        pid: status.pid,
        state: status.state,
        info: { ...status.info },
        createdAt: timestampOfNanos(status.createdAt),
        exitedAt: timestampOfNanos(status.exitedAt),
        extra: status.extra ?? { typeUrl: "", value: new Uint8Array() },
        address: status.address,
        version: status.version,
      };
    },
    async shutdown({ sandboxId, sandboxer }, call) {
      await named(sandboxer).shutdown(contextOf(call), sandboxId);
      return {};
    },
    async metrics({ sandboxId, sandboxer }, call) {
      const { timestamp, id, data } = await named(sandboxer).metrics(contextOf(call), sandboxId);
      return { metrics: { timestamp: timestampOfNanos(timestamp), id, data } };
    },
    async update({ sandboxId, sandboxer, sandbox, fields }, call) {
      const input = fromWireSandbox(need(sandbox, "sandbox"));
      await named(sandboxer).update(contextOf(call), { ...input, id: sandboxId }, fields);
      return {};
    },
  });
};

function fromWireSandbox(sandbox: WireSandbox = WireSandbox.fromPartial({})): SandboxInput {
  const { sandboxId: id, runtime, spec, labels, extensions, sandboxer } = sandbox;
  return { id, labels, spec, extensions, sandboxer, runtime: { name: runtime?.name ?? "", options: runtime?.options } };
}

/** A record as messages carry it; one that is only wished for has no times. */
export function toWireSandbox(sandbox: SandboxInput & Partial<Sandbox>): WireSandbox {
  const { id, runtime, spec, labels, extensions, sandboxer, createdAt, updatedAt } = sandbox;
  return {
    sandboxId: id,
    runtime: { name: runtime.name, options: runtime.options },
    spec,
    labels: { ...labels },
    extensions: { ...extensions },
    sandboxer,
    createdAt: timestampOfNanos(createdAt),
    updatedAt: timestampOfNanos(updatedAt),
  };
}
