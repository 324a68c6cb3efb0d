import { PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { contextFor } from "@hull/engine/context";
import type { SandboxController } from "@hull/engine/sandbox/controller";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type PauseTask, type Pod } from "../model.ts";
import type { PodKeeper } from "./keeper.ts";
import { podRecord } from "./record.ts";

/** Pods of handlers whose shim keeps pods by itself (`sandboxer = "shim"`): Kata and the like. */
export class ShimSandboxes implements PodKeeper {
  readonly #controllers: ReadonlyMap<string, SandboxController>;

  constructor(controllers: ReadonlyMap<string, SandboxController>) {
    this.#controllers = controllers;
  }

  get #controller(): SandboxController {
    const controller = this.#controllers.get("shim");
    if (controller === undefined) throw unknown("failed to get sandbox controller by shim: not found");
    return controller;
  }

  async start(pod: Pod, handler: RuntimeHandler): Promise<PauseTask> {
    const ctx = contextFor(criNamespace, { lease: pod.id });
    await this.#controller.create(ctx, podRecord(pod, handler), {
      options: { typeUrl: "runtime.v1.PodSandboxConfig", value: PodSandboxConfig.encode(pod.config).finish() },
      netnsPath: pod.namespaces.net ?? "",
    });
    try {
      const { pid } = await this.#controller.start(ctx, pod.id);
      return { pid, image: "", snapshotKey: "", snapshotter: "" };
    } catch (error) {
      await this.remove(pod.id);
      throw error;
    }
  }

  stop(id: string): Promise<void> {
    return this.#controller.stop(contextFor(criNamespace), id, 0);
  }

  async remove(id: string): Promise<void> {
    await unlessGone(() => this.#controller.shutdown(contextFor(criNamespace), id));
  }

  async pidOf(id: string): Promise<number | undefined> {
    const { state, pid } = await this.#controller.status(contextFor(criNamespace), id, false);
    return state === "SANDBOX_READY" ? pid : undefined;
  }

  async ended(id: string, signal: AbortSignal): Promise<void> {
    await unlessGone(() => this.#controller.wait(contextFor(criNamespace, { signal }), id));
  }
}
