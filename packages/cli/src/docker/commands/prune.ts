import { createInterface } from "node:readline/promises";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Client } from "@hull/client/client";
import { invalidArgument } from "@hull/errors";
import { listImages, needArguments, repositoryAndTag } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { openSession } from "../session.ts";
import { statesOf } from "../state.ts";
import { remove } from "./lifecycle.ts";

export interface PruneFlags {
  readonly all: boolean;
  readonly force: boolean;
}

/** `hull system prune`: what has ended, and images that nothing uses. */
export async function pruneSystem(call: Call<PruneFlags>): Promise<number> {
  const images = call.flags.all ? "all images that no container uses" : "images without a name that no container uses";
  if (!(await agreed(call, `all containers that don't run, and ${images}`))) return 1;
  await using client = await openSession(call);
  await pruneContainers(client, call);
  await pruneUnused(client, call);
  return 0;
}

/** `hull container prune` */
export async function containerPrune(call: Call<Pick<PruneFlags, "force">>): Promise<number> {
  if (!(await agreed(call, "all containers that don't run"))) return 1;
  await using client = await openSession(call);
  await pruneContainers(client, call);
  return 0;
}

/** `hull image prune` */
export async function imagePrune(call: Call<PruneFlags>): Promise<number> {
  const what = call.flags.all ? "all images that no container uses" : "images without a name that no container uses";
  if (!(await agreed(call, what))) return 1;
  await using client = await openSession(call);
  await pruneUnused(client, call);
  return 0;
}

/** True if it may be done: told by --force, or by an answer. @throws InvalidArgument where nobody can answer */
export async function agreed({ args, flags, host }: Call<Pick<PruneFlags, "force">>, what: string): Promise<boolean> {
  needArguments(args, 0, 0, "");
  if (flags.force) return true;
  if (!process.stdin.isTTY) throw invalidArgument(`this removes ${what}: say --force where nobody can be asked`);
  host.err(`This removes ${what}.\n`);
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await asking.question("Go on? [y/N] ")).trim());
  } finally {
    asking.close();
  }
}

async function pruneContainers(client: Client, { globals, host }: Pick<Call, "globals" | "host">): Promise<void> {
  const [{ containers }, states] = await Promise.all([client.service(ContainersDefinition).list({}), statesOf(client)]);
  const ended = containers.filter(({ id }) => !["running", "paused"].includes(states.get(id)?.status ?? "created"));
  for (const container of ended) await remove(client, container, placeOf(globals).root);
  if (ended.length > 0) await host.out(`Deleted Containers:\n${ended.map(({ id }) => `${id}\n`).join("")}\n`);
}

async function pruneUnused(
  client: Client,
  { host, flags }: { host: Call["host"]; flags: { all?: boolean } },
): Promise<void> {
  const [all, { containers }] = await Promise.all([listImages(client), client.service(ContainersDefinition).list({})]);
  const used = new Set(containers.map(({ image }) => image));
  const unused = all.filter(
    ({ name }) => !used.has(name) && (flags.all === true || repositoryAndTag(name).tag === "<none>"),
  );
  const service = client.service(ImagesDefinition);
  // The collection after the last one frees what all of them held.
  for (const [at, { name }] of unused.entries()) await service.delete({ name, sync: at === unused.length - 1 });
  if (unused.length > 0) await host.out(`Deleted Images:\n${unused.map(({ name }) => `${name}\n`).join("")}\n`);
}
