import { connect, type Hull } from "@hull/client";

/** A Hull for a program of the tests: of the daemon at a place, or an engine in the place's folder. */
export async function openHull(kind: string | undefined, place: string): Promise<Hull> {
  if (kind === "daemon") return await connect({ address: place });
  const { Engine } = await import("@hull/embed");
  const plugins = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };
  return await Engine.open({ root: `${place}/root`, state: `${place}/state`, containers: "end", plugins });
}
