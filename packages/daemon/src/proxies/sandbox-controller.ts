import { ControllerDefinition } from "@hull/api/gen/containerd/services/sandbox/v1/sandbox";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import type { Context } from "@hull/engine/context";
import type {
  CreateSandbox,
  SandboxController,
  SandboxExit,
  SandboxMetrics,
  SandboxPlatform,
  SandboxStatus,
  StartedSandbox,
} from "@hull/engine/sandbox/controller";
import type { SandboxInput } from "@hull/engine/sandbox/index";
import { toWireSandbox } from "../services/sandboxes.ts";
import { toWireMount } from "../services/wire.ts";
import type { Link } from "./link.ts";

/** A controller of sandboxes in another process, which keeps them by itself: what it has of an earlier run it finds again. */
export class ProxySandboxController implements SandboxController {
  /** What it is called here and there. */
  readonly #name: string;
  readonly #link: Link;

  constructor(name: string, link: Link) {
    this.#name = name;
    this.#link = link;
  }

  async create(ctx: Context, sandbox: SandboxInput, options: CreateSandbox = {}): Promise<void> {
    const { rootfs = [], netnsPath = "", annotations = {} } = options;
    const { service, signal } = await this.#call(ctx);
    const request = {
      ...this.#of(sandbox.id),
      sandbox: toWireSandbox(sandbox),
      rootfs: rootfs.map(toWireMount),
      options: options.options,
      netnsPath,
      annotations: { ...annotations },
    };
    await service.create(request, { signal });
  }

  async start(ctx: Context, id: string): Promise<StartedSandbox> {
    const { service, signal } = await this.#call(ctx);
    const { pid, createdAt, spec, address, version } = await service.start(this.#of(id), { signal });
    return { pid, createdAt: nanosOfTimestamp(createdAt), spec, address, version };
  }

  async platform(ctx: Context, id: string): Promise<SandboxPlatform> {
    const { service, signal } = await this.#call(ctx);
    const { platform } = await service.platform(this.#of(id), { signal });
    return platform ?? { os: "", architecture: "", variant: "" };
  }

  async stop(ctx: Context, id: string, timeoutSeconds: number): Promise<void> {
    const { service, signal } = await this.#call(ctx);
    await service.stop({ ...this.#of(id), timeoutSecs: timeoutSeconds }, { signal });
  }

  async wait(ctx: Context, id: string): Promise<SandboxExit> {
    const { service, signal } = await this.#call(ctx);
    const { exitStatus, exitedAt } = await service.wait(this.#of(id), { signal });
    return { exitStatus, exitedAt: nanosOfTimestamp(exitedAt) };
  }

  async status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus> {
    const { service, signal } = await this.#call(ctx);
    const status = await service.status({ ...this.#of(id), verbose }, { signal });
    const { pid, state, info, createdAt, exitedAt, extra, address, version } = status;
    const times = { createdAt: nanosOfTimestamp(createdAt), exitedAt: nanosOfTimestamp(exitedAt) };
    return { pid, state, info, ...times, extra, address, version };
  }

  async shutdown(ctx: Context, id: string): Promise<void> {
    const { service, signal } = await this.#call(ctx);
    await service.shutdown(this.#of(id), { signal });
  }

  async metrics(ctx: Context, id: string): Promise<SandboxMetrics> {
    const { service, signal } = await this.#call(ctx);
    const { metrics } = await service.metrics(this.#of(id), { signal });
    return { id: metrics?.id ?? id, timestamp: nanosOfTimestamp(metrics?.timestamp), data: metrics?.data };
  }

  async update(ctx: Context, sandbox: SandboxInput, fields: readonly string[]): Promise<void> {
    const { service, signal } = await this.#call(ctx);
    const request = { ...this.#of(sandbox.id), sandbox: toWireSandbox(sandbox), fields: [...fields] };
    await service.update(request, { signal });
  }

  async load(): Promise<void> {}

  async close(): Promise<void> {}

  #of(id: string): { sandboxId: string; sandboxer: string } {
    return { sandboxId: id, sandboxer: this.#name };
  }

  async #call(ctx: Context) {
    return { service: await this.#link.service(ctx, ControllerDefinition), signal: ctx.signal };
  }
}
