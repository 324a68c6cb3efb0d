import type { Client } from "@hull/client/client";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import { compileTemplate } from "../../template/index.ts";
import { needArguments } from "../find.ts";
import { formatJson, formatSize } from "../format.ts";
import { type Call, placeOf } from "../globals.ts";
import { printRows } from "../listing.ts";
import { pairOf } from "../pair.ts";
import { explain, openSession } from "../session.ts";
import { noSuchVolume, openVolumes, type Volume } from "../volumes/index.ts";
import { sizeOf } from "../volumes/store.ts";
import { usedVolumes } from "../volumes/users.ts";
import { agreed } from "./prune.ts";

const openStore = (client: Client, { globals }: Pick<Call, "globals">) => openVolumes(client, placeOf(globals).root);

/** `hull volume create` */
export async function createVolume(
  call: Call<{ label: readonly string[]; driver: string; name: string | undefined }>,
): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 0, 1, "");
  if (flags.driver !== "local")
    throw invalidArgument(`volume driver "${flags.driver}" is not known: there is only local`);
  const labels = Object.fromEntries(flags.label.map(pairOf));
  await using client = await openSession(call);
  const { name } = (await openStore(client, call)).create(args[0] ?? flags.name, { labels });
  await host.out(`${name}\n`);
  return 0;
}

const columns = [
  ["DRIVER", "Driver"],
  ["VOLUME NAME", "Name"],
] as const;

/** `hull volume ls` */
export async function listVolumes(
  call: Call<{ quiet: boolean; filter: readonly string[]; format: string | undefined }>,
): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 0, 0, "");
  await using client = await openSession(call);
  const used = await usedVolumes(client);
  const tests = flags.filter.map((text) => filterOf(text, used));
  const found = (await openStore(client, call)).list().filter((volume) => tests.every((test) => test(volume)));
  if (flags.quiet) await host.out(found.map(({ name }) => `${name}\n`).join(""));
  else await printRows(host, found.map(rowOf), { format: flags.format, columns });
  return 0;
}

const rowOf = ({ name, path, labels }: Volume) => ({
  Availability: "N/A",
  Driver: "local",
  Group: "N/A",
  Labels: Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(","),
  Links: "N/A",
  Mountpoint: path,
  Name: name,
  Scope: "local",
  Size: "N/A",
  Status: "N/A",
});

function filterOf(text: string, used: ReadonlyMap<string, unknown>): (volume: Volume) => boolean {
  const [key = "", ...rest] = text.split("=");
  const value = rest.join("=");
  switch (key) {
    case "name":
      return ({ name }) => name.includes(value);
    case "driver":
      return () => value === "local";
    case "dangling": {
      const wanted = /^(true|1)$/i.test(value);
      return ({ name }) => used.has(name) !== wanted;
    }
    case "label": {
      const [label = "", ...wanted] = rest;
      return ({ labels }) =>
        Object.hasOwn(labels, label) && (wanted.length === 0 || labels[label] === wanted.join("="));
    }
    default:
      throw invalidArgument(`filter "${text}" must begin with one of name=, driver=, dangling=, label=`);
  }
}

/** `hull volume inspect` */
export async function inspectVolumes(call: Call<{ format: string | undefined }>): Promise<number> {
  const { flags, host } = call;
  const { format } = flags;
  const template = format === undefined || format === "json" ? undefined : compileTemplate(format);
  const found: unknown[] = [];
  const status = await eachVolume(call, false, async ({ name, path, labels, createdAt }) => {
    found.push({
      CreatedAt: createdAt,
      Driver: "local",
      Labels: Object.keys(labels).length === 0 ? null : labels,
      Mountpoint: path,
      Name: name,
      Options: null,
      Scope: "local",
    });
  });
  if (format === "json") await host.out(`${JSON.stringify(found)}\n`);
  else if (template === undefined) await host.out(formatJson(found));
  else for (const each of found) await host.out(`${template(each)}\n`);
  return status;
}

/** `hull volume rm` */
export async function removeVolumes(call: Call<{ force: boolean }>): Promise<number> {
  return await eachVolume(call, call.flags.force, async ({ name }, client) => {
    const users = (await usedVolumes(client)).get(name);
    if (users !== undefined) throw failedPrecondition(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    (await openStore(client, call)).remove(name);
    await call.host.out(`${name}\n`);
  });
}

/** Does something with each volume that the arguments name; what fails is printed, and the others go on. */
async function eachVolume(
  call: Call,
  force: boolean,
  work: (volume: Volume, client: Client) => Promise<void>,
): Promise<number> {
  const { args, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a volume is");
  await using client = await openSession(call);
  const store = await openStore(client, call);
  let status = 0;
  for (const name of args) {
    try {
      const volume = store.find(name);
      if (volume !== undefined) await work(volume, client);
      else if (!force) throw noSuchVolume(name);
    } catch (error) {
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  return status;
}

/** `hull volume prune` */
export async function pruneVolumes(call: Call<{ all: boolean; force: boolean }>): Promise<number> {
  const { flags, host } = call;
  const which = flags.all ? "all volumes that no container has" : "all volumes without a name that no container has";
  if (!(await agreed(call, which))) return 1;
  await using client = await openSession(call);
  const store = await openStore(client, call);
  const used = await usedVolumes(client);
  const going = store.list().filter(({ name, anonymous }) => !used.has(name) && (flags.all || anonymous));
  let bytes = 0;
  for (const { name, path } of going) {
    bytes += sizeOf(path);
    store.remove(name);
  }
  const list = going.length === 0 ? "" : `Deleted Volumes:\n${going.map(({ name }) => `${name}\n`).join("")}\n`;
  await host.out(`${list}Total reclaimed space: ${formatSize(bytes)}\n`);
  return 0;
}
