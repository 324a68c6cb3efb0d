import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import type { Client } from "@hull/client/client";
import { networksOf } from "@hull/client/network/connected";
import { membersOf, namesDirectory } from "@hull/client/network/names";
import { ownNetworks, removeNetwork } from "@hull/client/network/own-networks";
import { isCode } from "@hull/errors";
import { needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { heldNamespaces } from "../network/flags.ts";
import { explain, openSession } from "../session.ts";
import { agreed } from "./prune.ts";

/** `hull network rm` */
export async function removeNetworks({ args, flags, globals, host }: Call<{ force: boolean }>): Promise<number> {
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a network is");
  let status = 0;
  for (const name of args) {
    try {
      removeNetwork(name, host.env, namesDirectory(heldNamespaces(globals)));
      await host.out(`${name}\n`);
    } catch (error) {
      if (flags.force && isCode(error, "notFound")) continue;
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  return status;
}

/** `hull network prune` */
export async function pruneNetworks(call: Call<{ force: boolean }>): Promise<number> {
  const { globals, host } = call;
  if (!(await agreed(call, "all networks that hull made and no container is for"))) return 1;
  const directory = namesDirectory(heldNamespaces(globals));
  await using client = await openSession(call);
  const used = await usedNetworks(client);
  const names = ownNetworks(host.env).map(({ network }) => network.name);
  const going = names.filter((name) => !used.has(name) && membersOf(directory, name).length === 0);
  for (const name of going) removeNetwork(name, host.env, directory);
  if (going.length > 0) await host.out(`Deleted Networks:\n${going.map((name) => `${name}\n`).join("")}\n`);
  return 0;
}

/** Networks of the daemon's containers, whichever namespace they are in: networks are the host's. */
async function usedNetworks(client: Client): Promise<Set<string>> {
  const { namespaces } = await client.service(NamespacesDefinition).list({});
  const lists = await Promise.all(
    namespaces.map(({ name }) => client.withNamespace(name).service(ContainersDefinition).list({})),
  );
  return new Set(
    lists.flatMap(({ containers }) => containers.flatMap((container) => networksOf(container).map(({ name }) => name))),
  );
}
