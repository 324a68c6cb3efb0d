import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import type { Client } from "./client.ts";

/** What clients keep in folders of the daemon's: beside containers, or for longer than them. */
export type DirectoryKind = "logs" | "volumes" | "containers";

/** Where hull's daemon (or engine) wants clients to keep it; nothing of another's. */
export async function clientDirectories(client: Client): Promise<Readonly<Partial<Record<DirectoryKind, string>>>> {
  const filters = ["type==io.containerd.monitor.container.v1,id==auto-remove"];
  const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters });
  return plugins[0]?.exports ?? {};
}
