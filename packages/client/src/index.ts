/**
 * A client of hull's daemon, and of any other that speaks containerd's API.
 *
 *   connect ──► getImage / pullImage ──► createContainer ──► newTask ──► wait, start … ──► delete ──► removeContainer
 *
 * What needs FIFOs, terminals or signals of this machine is in `io/` and is imported by path.
 */
export * from "./client.ts";
export * from "./containers.ts";
export * from "./content.ts";
export * from "./convert.ts";
export * from "./events.ts";
export * from "./images.ts";
export * from "./lease.ts";
export * from "./tasks.ts";
export * from "./transfer.ts";
