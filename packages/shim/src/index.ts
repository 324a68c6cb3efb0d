/**
 * The shim: a process of its own that keeps containers running while daemons come and go.
 *
 *   start ──► serving ──create──► container … ──delete──► shutdown ──► (gone)
 *   spare ──assigned─┘
 *
 * It is the parent of its containers' processes (a subreaper), so it alone learns how they end. It holds their standard streams,
 * mounts their root file systems, calls the OCI runtime (runc, crun) for what that does, and answers ttrpc's Task service, in both of its
 * versions, on a unix socket. What happens is told to the daemon as events.
 *
 * All containers of a group (a pod) live in one shim; without a group annotation each container is a group of its own.
 *
 * Parts: `main` (command line), `serve` (the process), `service` (the wire), `container` and `task-process` (the state),
 * `oci-runtime` (runc and crun), `children` (ends of processes), `stdio` and `terminal` (streams), `publisher` (events),
 * `metrics-v1` and `metrics-v2` (cgroup statistics).
 */
export type { Assignment } from "./spare.ts";
