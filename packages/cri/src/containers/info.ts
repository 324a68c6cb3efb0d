import { Options } from "@hull/api/gen/containerd/runc/v1/options";
import type { PodContainer } from "../model.ts";
import { goJson } from "../records/index.ts";
import type { ContainersContext } from "./context.ts";

/** What `crictl inspect` shows beside the status, with containerd's keys (internal/cri/server/container_status.go). @throws NotFound */
export async function containerInfo(of: ContainersContext, container: PodContainer): Promise<string> {
  const { id, podId, config, status } = container;
  const { snapshotKey, snapshotter, runtime, spec } = await of.options.records.get(of.engine, id);
  const { options } = runtime;
  return JSON.stringify({
    sandboxID: podId,
    pid: status.pid,
    removing: status.removing,
    snapshotKey,
    snapshotter,
    runtimeType: runtime.name,
    // Of other shims' options only the type is known here.
    runtimeOptions:
      options === undefined || !options.typeUrl.endsWith("containerd.runc.v1.Options")
        ? null
        : goJson(Options.decode(options.value)),
    config: goJson(config),
    runtimeSpec: JSON.parse(new TextDecoder().decode(spec.value)) as unknown,
  });
}
