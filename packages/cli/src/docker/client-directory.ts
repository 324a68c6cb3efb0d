import { dirname, join } from "node:path";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import type { Client } from "@hull/client/client";

/** Where clients keep what belongs to containers or outlives them: the daemon says it; below `root` for one that doesn't. */
export async function clientDirectory(
  client: Client,
  kind: "logs" | "volumes" | "containers",
  root: string,
): Promise<string> {
  const filters = ["type==io.containerd.monitor.container.v1,id==auto-remove"];
  const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters });
  const exports = plugins[0]?.exports ?? {};
  if (exports[kind] !== undefined) return exports[kind];
  return exports.logs === undefined ? join(root, kind) : join(dirname(exports.logs), kind);
}
