/**
 * Kubernetes' Container Runtime Interface: pods and containers as the kubelet, `crictl` and `critest` see them, on the engine.
 *
 *   service ──► pods ──────► network (CNI), pinned namespaces, files
 *      │    └─► containers ─► spec ──► engine: containers, snapshots, tasks ──► shim (log files, attach)
 *      ├──────► images ────► engine: transfer, images, content
 *      ├──────► stats ─────► cgroups, in one pass
 *      └──────► streaming ─► exec, attach, port-forward over SPDY/3.1 and WebSocket
 *
 * A pod has no process of its own unless its containers share a pid namespace or its runtime's shim wants one: its namespaces are pinned by
 * bind mounts, and its containers share one shim.
 */
export type * from "./model.ts";
