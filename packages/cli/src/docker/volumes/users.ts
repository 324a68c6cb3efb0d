import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { openVolumes, volumesOf } from "./index.ts";

/** Ids of the containers that have a volume, by its name. */
export async function usedVolumes(client: Client): Promise<Map<string, string[]>> {
  const { containers } = await client.service(ContainersDefinition).list({});
  const used = new Map<string, string[]>();
  for (const container of containers)
    for (const { name } of volumesOf(container)) used.set(name, [...(used.get(name) ?? []), container.id]);
  return used;
}

/** Removes the volumes without a name that came with a container that is gone, but for those that another one has too. */
export async function removeAnonymous(
  client: Client,
  container: Pick<Container, "labels">,
  root: string,
): Promise<void> {
  const going = volumesOf(container).filter(({ anonymous }) => anonymous);
  if (going.length === 0) return;
  const [store, used] = await Promise.all([openVolumes(client, root), usedVolumes(client)]);
  for (const { name } of going) if (!used.has(name)) store.remove(name);
}
