import { Engine } from "@hull/embed";

/** An engine of the tests on a root, with its state beside. */
export function openEngine(root: string, containers: "keep" | "end" = "keep"): Promise<Engine> {
  const plugins = { "io.containerd.runtime.v2.task": { oci_runtime: "runc" } };
  return Engine.open({ root, state: `${root}.state`, containers, plugins });
}
