import { NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { nowNanos } from "@hull/api/timestamp";
import { contextFor } from "@hull/engine/context";
import { unlessGone } from "@hull/engine/unless-gone";
import { HullError } from "@hull/errors";
import type { RuntimeHandler } from "../handlers.ts";
import { criNamespace, type Pod } from "../model.ts";
import { within, withinLater } from "../wrap.ts";
import { type PodDirectories, podDirectories } from "./directories.ts";
import { removePodDirectories, writePodFiles } from "./files.ts";
import type { PodKeeper } from "./keeper.ts";
import type { NamespaceMaker } from "./namespace-maker.ts";
import type { NamespacePlan } from "./namespaces.ts";
import type { PodsOptions } from "./options.ts";
import { podRecord } from "./record.ts";

const ctx = contextFor(criNamespace);

/** What could not be taken back after a pod's start had failed. */
export class LeftBehind extends HullError {}

/**
 * Makes a pod real. In order: its record, then side by side its namespaces with the network in them, its files and its keeper; then what
 * NRI's plugins say; then the record of what it became. Each step is taken back if a later one fails.
 *
 * @throws what a step throws. If it could not be taken back whole, `cause` is a `LeftBehind`.
 */
export async function startPod(
  pod: Pod,
  plan: NamespacePlan,
  mountLabel: string,
  parts: {
    readonly options: PodsOptions;
    readonly namespaces: NamespaceMaker;
    readonly handler: RuntimeHandler;
    readonly keeper: PodKeeper | undefined;
    readonly directories: PodDirectories;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { options, namespaces, handler, keeper, directories, signal } = parts;
  const { engine, networks, nri, cleanUpTimeoutMs = 60_000 } = options;
  const undo = new AsyncDisposableStack();
  try {
    // Both are in the metadata when this returns, and on the disk when it is awaited: what needs neither disk goes on.
    const recorded = Promise.all([
      withinLater(`failed to create lease for sandbox name ${quoted(pod.name)}`, engine.leases.create(ctx, pod.id, {})),
      withinLater("failed to save sandbox metadata", engine.sandboxes.create(ctx, podRecord(pod, handler))),
    ]);
    recorded.catch(() => undefined);
    undo.defer(() => removePodDirectories(directories));
    const what = plan.paths.net === undefined ? "namespaces" : "network namespace";
    await withinLater(`failed to create ${what} for sandbox ${quoted(pod.id)}`, namespaces.create(plan));
    undo.defer(() => namespaces.release(plan.paths));
    within(`failed to start sandbox ${quoted(pod.id)}: failed to setup sandbox files`, () =>
      writePodFiles(directories, pod.config),
    );
    await recorded;
    const { net } = plan.paths;
    const networked = { id: pod.id, config: pod.config, runtimeHandler: pod.runtimeHandler, netns: net ?? "" };
    const attach = async (): Promise<void> => {
      if (net === undefined) return;
      // A network that couldn't be made may well be one that can't be removed: that must not keep the pod.
      undo.defer(() =>
        networks.remove(networked, AbortSignal.timeout(cleanUpTimeoutMs)).catch((error: unknown) => {
          if (pod.network.result !== undefined) throw error;
          const fields = { pod: pod.id, error: messageOf(error) };
          options.log.log("warn", "a network could not be removed after it had failed", fields);
        }),
      );
      const attaching = networks.add(networked, signal);
      pod.network = await withinLater(`failed to setup network for sandbox ${quoted(pod.id)}`, attaching);
    };
    const keep = async (): Promise<void> => {
      if (keeper === undefined) return;
      const starting = keeper.start(pod, handler, directories, mountLabel);
      pod.pause = await withinLater(`failed to start sandbox ${quoted(pod.id)}`, starting);
      undo.defer(() => keeper.remove(pod.id));
    };
    await allOver([attach(), keep()]);
    if (pod.pause !== undefined) pod.namespaces = withProcess(pod, pod.pause.pid, handler);
    pod.createdAt = nowNanos();
    await nri.shared(async () => {
      await withinLater("NRI RunPodSandbox failed", nri.runPodSandbox(pod));
      undo.defer(() => nri.removePodSandbox(pod));
      signal.throwIfAborted();
      pod.state = "ready";
      const saving = saveRecord(options, pod, handler);
      await withinLater(`unable to save sandbox ${quoted(pod.id)} to sandbox store`, saving);
      options.pods.add(pod);
    });
    undo.move();
  } catch (error) {
    pod.state = "unknown";
    try {
      await undo.disposeAsync();
      // Last: by it the next start would find what is left.
      await removeRecord(options, pod.id);
    } catch (left) {
      const { code, message } = HullError.from(error);
      throw new HullError(code, message, { cause: new LeftBehind("unknown", messageOf(left), { cause: left }) });
    }
    throw error;
  }
}

/** Writes what a pod has become. */
export async function saveRecord({ engine }: PodsOptions, pod: Pod, handler: RuntimeHandler): Promise<void> {
  await engine.sandboxes.update(ctx, podRecord(pod, handler), ["labels", "extensions"]);
}

/** Removes a pod's record, and then its lease. */
export async function removeRecord({ engine }: PodsOptions, id: string): Promise<void> {
  await Promise.all([
    unlessGone(() => engine.sandboxes.delete(ctx, id)),
    unlessGone(() => engine.leases.delete(ctx, id)),
  ]);
}

/** The places of a pod on this host. */
export const directoriesOf = ({ directories: { root, state }, config }: PodsOptions, id: string): PodDirectories => {
  const netns = config.runtime.netns_mounts_under_state_dir ? `${state}/netns` : "/var/run/netns";
  return podDirectories({ root, state, netns }, id);
};

/** The pause process's own namespaces, where they aren't pinned. */
function withProcess({ namespaces, config }: Pod, pid: number, { own }: RuntimeHandler): Pod["namespaces"] {
  const { ipc, network, pid: pids } = config.linux?.securityContext?.namespaceOptions ?? {};
  const at = (kind: string) => `/proc/${pid}/ns/${kind}`;
  return {
    ...namespaces,
    ...(own || ipc === NamespaceMode.NODE ? {} : { ipc: at("ipc") }),
    ...(own || network === NamespaceMode.NODE ? {} : { uts: at("uts") }),
    ...(pids === NamespaceMode.NODE ? {} : { pid: at("pid") }),
  };
}

const quoted = (text: string): string => JSON.stringify(text);
const messageOf = (error: unknown): string => HullError.from(error).message;

/** Waits for all, whatever becomes of them; then throws what the first of them threw. */
export async function allOver(works: readonly Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(works)) if (one.status === "rejected") throw one.reason;
}
