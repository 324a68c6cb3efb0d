import { SandboxDefinition } from "@hull/api/gen/containerd/runtime/sandbox/v1/sandbox";
import { ttrpcMetadata } from "@hull/api/metadata";
import type { ServiceClient } from "@hull/api/rpc";
import { nanosOfTimestamp, nowNanos } from "@hull/api/timestamp";
import { alreadyExists, HullError, isCode, notFound } from "@hull/errors";
import { ttrpcClient } from "@hull/ttrpc/client";
import type { Context } from "../context.ts";
import type { Nanoseconds, TypedBytes } from "../labels.ts";
import type { Logger } from "../log.ts";
import { Bundle, type RuntimeDirectories } from "../runtime/bundle.ts";
import { KeyedLock } from "../runtime/keyed-lock.ts";
import { loadBundles } from "../runtime/load.ts";
import type { Shim } from "../runtime/shim.ts";
import type { ShimDirectory } from "../runtime/shim-directory.ts";
import type {
  CreateSandbox,
  SandboxController,
  SandboxExit,
  SandboxMetrics,
  SandboxPlatform,
  SandboxStatus,
  StartedSandbox,
} from "./controller.ts";
import type { SandboxInput } from "./index.ts";

type SandboxClient = ServiceClient<typeof SandboxDefinition>;

/** A sandbox that this controller keeps. */
interface Running {
  readonly namespace: string;
  readonly id: string;
  readonly bundle: Bundle;
  readonly shim: Shim;
  readonly client: SandboxClient;
}

/** Where bundles of sandboxes are, below root and state. */
const owner = "io.containerd.sandbox.controller.v1.shim";

/** What the controller needs. */
export interface ShimControllerOptions {
  directories: RuntimeDirectories;
  shims: ShimDirectory;
  /** The options that a runtime's shim is given; see the task manager. */
  optionsFor(runtime: string, given: TypedBytes | undefined): TypedBytes | undefined;
  /** How long a shim of an earlier run may take to answer, ms. */
  loadTimeoutMs: number;
  log: Logger;
}

/** Sandboxes that shims keep: those that serve `containerd.runtime.sandbox.v1.Sandbox` beside the Task service. */
export class ShimSandboxController implements SandboxController {
  readonly #options: ShimControllerOptions;
  readonly #running = new Map<string, Running>();
  readonly #locks = new KeyedLock();

  constructor(options: ShimControllerOptions) {
    this.#options = options;
  }

  create(ctx: Context, sandbox: SandboxInput, options: CreateSandbox = {}): Promise<void> {
    const { id, runtime } = sandbox;
    const key = keyOf(ctx, id);
    return this.#locks.run(key, async () => {
      if (this.#running.has(key)) throw alreadyExists(`sandbox ${id} already running`);
      const { directories, shims, optionsFor } = this.#options;
      const bundle = new Bundle(directories, ctx.namespace, id, owner);
      // A bundle without a sandbox is what a crash left.
      await bundle.delete();
      await using undo = new AsyncDisposableStack();
      const spec = sandbox.spec?.value ?? new TextEncoder().encode("{}");
      bundle.create(spec);
      undo.defer(() => bundle.delete());
      const runtimeOptions = optionsFor(runtime.name, runtime.options);
      const shim = await shims.startForSandbox(runtime.name, bundle, {
        options: runtimeOptions,
        spec,
        signal: ctx.signal,
      });
      undo.defer(() => this.#release({ bundle, shim }));
      const client = sandboxClient(shim, ctx.namespace);
      const { rootfs = [], netnsPath = "", annotations = {} } = options;
      const creation = client.createSandbox({
        sandboxId: id,
        bundlePath: bundle.path,
        rootfs: rootfs.map((mount) => ({ ...mount, options: [...mount.options] })),
        options: options.options ?? runtimeOptions,
        netnsPath,
        annotations,
      });
      await creation.catch((error: unknown) => {
        throw within(`failed to create sandbox ${id}`, error);
      });
      undo.move();
      this.#register({ namespace: ctx.namespace, id, bundle, shim, client });
    });
  }

  async start(ctx: Context, id: string): Promise<StartedSandbox> {
    const { client, shim } = this.#find(ctx, id, `unable to find sandbox "${id}"`);
    const started = client.startSandbox({ sandboxId: id });
    const { pid, createdAt, spec } = await started.catch((error: unknown) => {
      throw within(`failed to start sandbox ${id}`, error);
    });
    return { pid, createdAt: nanosOfTimestamp(createdAt), spec, ...endpointOf(shim) };
  }

  async platform(ctx: Context, id: string): Promise<SandboxPlatform> {
    const { platform } = await this.#find(ctx, id).client.platform({ sandboxId: id });
    const { os = "", architecture = "", variant = "" } = platform ?? {};
    return { os, architecture, variant };
  }

  async stop(ctx: Context, id: string, timeoutSeconds: number): Promise<void> {
    const running = this.#running.get(keyOf(ctx, id));
    if (running === undefined) return;
    try {
      await running.client.stopSandbox({ sandboxId: id, timeoutSecs: timeoutSeconds });
    } catch (error) {
      if (!isGone(error)) throw within(`failed to stop sandbox ${id}`, error);
    }
  }

  async wait(ctx: Context, id: string): Promise<SandboxExit> {
    const { client, shim } = this.#find(ctx, id);
    try {
      const { exitStatus, exitedAt } = await client.waitSandbox({ sandboxId: id }, { signal: ctx.signal });
      return { exitStatus, exitedAt: nanosOfTimestamp(exitedAt) };
    } catch (error) {
      if (!isCode(error, "unavailable")) throw within(`failed to wait sandbox ${id}`, error);
      // Its shim has died, and the sandbox with it.
      await shim.lost;
      return { exitStatus: unknownStatus, exitedAt: nowNanos() };
    }
  }

  async status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus> {
    const running = this.#running.get(keyOf(ctx, id));
    if (running === undefined) return gone();
    try {
      const status = await running.client.sandboxStatus({ sandboxId: id, verbose });
      const { pid, state, info, extra, createdAt, exitedAt } = status;
      const times = { createdAt: nanosOfTimestamp(createdAt), exitedAt: nanosOfTimestamp(exitedAt) };
      return { pid, state, info, extra, ...times, ...endpointOf(running.shim) };
    } catch (error) {
      if (isGone(error)) return gone();
      throw within(`failed to query sandbox ${id} status`, error);
    }
  }

  shutdown(ctx: Context, id: string): Promise<void> {
    const key = keyOf(ctx, id);
    return this.#locks.run(key, async () => {
      const running = this.#find(ctx, id);
      try {
        await running.client.shutdownSandbox({ sandboxId: id });
      } catch (error) {
        // It may close the connection before it answers.
        if (!isGone(error)) throw within("failed to shutdown sandbox", error);
      }
      this.#running.delete(key);
      await this.#release(running);
      await running.bundle.delete();
    });
  }

  async metrics(ctx: Context, id: string): Promise<SandboxMetrics> {
    const { metrics } = await this.#find(ctx, id).client.sandboxMetrics({ sandboxId: id });
    return { timestamp: nanosOfTimestamp(metrics?.timestamp), id: metrics?.id ?? id, data: metrics?.data };
  }

  /** Shims have no call for it: what a shim goes by it was told at its start. */
  async update(): Promise<void> {}

  async load(): Promise<void> {
    const { directories, shims, loadTimeoutMs: timeoutMs, log } = this.#options;
    const each = async (bundle: Bundle): Promise<void> => {
      const { namespace, id } = bundle;
      const shim = await shims.reconnectSandbox(bundle);
      if (shim === undefined) return await this.#cleanUp(bundle);
      const client = sandboxClient(shim, namespace);
      try {
        await client.pingSandbox({ sandboxId: id }, { timeoutMs });
        this.#register({ namespace, id, bundle, shim, client });
      } catch (error) {
        log.log("warn", "a shim doesn't know its sandbox", { namespace, id, error: String(error) });
        await this.#release({ bundle, shim });
        await this.#cleanUp(bundle);
      }
    };
    await loadBundles(directories, each, owner);
  }

  async close(): Promise<void> {
    const running = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(running.map(({ shim }) => shim.connected.connection.close()));
  }

  /** The sandbox keeps its shim no longer. */
  async #release({ bundle, shim }: Pick<Running, "bundle" | "shim">): Promise<void> {
    this.#options.shims.forgetSandbox(bundle);
    await this.#options.shims.release(shim, bundle, { reuse: false });
  }

  /** After a shim that is gone. Our own leaves nothing of a sandbox, others have to be asked. */
  async #cleanUp(bundle: Bundle): Promise<void> {
    if (bundle.recorded().program !== undefined) await this.#options.shims.cleanUp(bundle);
    await bundle.delete();
  }

  #register(running: Running): void {
    const key = keyOf(running, running.id);
    this.#running.set(key, running);
    void running.shim.lost.then(() => this.#locks.run(key, () => this.#lose(key, running)));
  }

  /** The shim has died: nothing is left of the sandbox. Its tasks are the task manager's to mourn. */
  async #lose(key: string, running: Running): Promise<void> {
    if (this.#running.get(key) !== running) return;
    const { namespace, id, bundle } = running;
    this.#options.log.log("warn", "a shim has ended before its sandbox", { namespace, id });
    this.#running.delete(key);
    this.#options.shims.forgetSandbox(bundle);
    await this.#cleanUp(bundle);
  }

  #find(ctx: Context, id: string, text = `sandbox "${id}"`): Running {
    const running = this.#running.get(keyOf(ctx, id));
    if (running === undefined) throw notFound(text);
    return running;
  }
}

/** The status of a sandbox whose end nobody saw. */
const unknownStatus = 255;

function sandboxClient(shim: Shim, namespace: string): SandboxClient {
  return ttrpcClient(SandboxDefinition, shim.connected.connection, { metadata: ttrpcMetadata(namespace) });
}

const isGone = (error: unknown): boolean => isCode(error, "notFound") || isCode(error, "unavailable");

function gone(): SandboxStatus {
  const exitedAt: Nanoseconds = nowNanos();
  return { pid: 0, state: "", info: {}, exitedAt, address: "", version: 0 };
}

function endpointOf({ connected }: Shim): { address: string; version: number } {
  const { protocol, address, version } = connected.bootstrap;
  return { address: `${protocol}+${address}`, version };
}

function within(what: string, error: unknown): HullError {
  const { code, message } = HullError.from(error);
  return new HullError(code, `${what}: ${message}`, { cause: error });
}

function keyOf({ namespace }: { namespace: string }, id: string): string {
  return `${namespace}/${id}`;
}
