import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { networksOf } from "@hull/client/network/connected";
import { namesDirectory, renameMember } from "@hull/client/network/names";
import { keyOf } from "@hull/client/network/networks";
import { clientDirectory } from "./client-directory.ts";
import { type Globals, placeOf } from "./globals.ts";
import { labelNames } from "./labels.ts";
import { heldNamespaces } from "./network/flags.ts";

/** Gives a container another name, on its network as well. Gives it with its new labels. */
export async function giveName(
  client: Client,
  container: Container,
  name: string,
  globals: Globals,
): Promise<Container> {
  const renamed = { ...container, labels: { ...container.labels, [labelNames.name]: name } };
  const updateMask = [`labels.${labelNames.name}`];
  await client.service(ContainersDefinition).update({ container: renamed, updateMask });
  const networks = networksOf(container);
  if (container.labels[labelNames.files] === "true" && networks.length > 0) {
    const directory = await clientDirectory(client, "containers", placeOf(globals).root);
    const naming = join(directory, client.namespace, container.id, "names.json");
    const owner = container.labels[labelNames.owner];
    const key = keyOf({ owner, namespace: client.namespace, id: container.id });
    for (const network of networks)
      renameMember(namesDirectory(heldNamespaces(globals)), network.name, { key, naming, name });
  }
  return renamed;
}
