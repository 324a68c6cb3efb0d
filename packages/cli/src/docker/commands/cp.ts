import { lstatSync, mkdirSync, statSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { failedPrecondition, internal, invalidArgument, notFound } from "@hull/errors";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { copyTree, Inside, type Opened, openRoot, run } from "../inside.ts";
import { openSession } from "../session.ts";

/** One side of a copy: a path of this machine, "-" for an archive by pipe, or a path in a container. */
interface Side {
  readonly container?: string;
  readonly path: string;
}

/** `hull cp SOURCE DESTINATION`, one of which is CONTAINER:PATH. */
export async function cp(call: Call<{ quiet: boolean }>): Promise<number> {
  needArguments(call.args, 2, 2, "a source and a destination are");
  const [source, target] = call.args.map(parseSide);
  if (source === undefined || target === undefined) throw internal("the arguments are gone");
  if ((source.container === undefined) === (target.container === undefined))
    throw invalidArgument(
      "one of source and destination must be CONTAINER:PATH, the other a path of this machine or -",
    );
  await using client = await openSession(call);
  const container = await findContainer(client, source.container ?? target.container ?? "");
  await using root = await openRoot(client, container);
  const inside = new Inside(root.fd, nameOf(container));
  using ends = new DisposableStack();
  if (source.container !== undefined) await copyOut(ends.use(inside.open(source.path)), source.path, target.path);
  else await copyIn(inside, source.path, target.path, ends);
  return 0;
}

function parseSide(text: string): Side {
  // A path that begins like one is none of a container, whatever follows.
  const [, container, path] = /^([^/.:][^/:]*):(.*)$/s.exec(text) ?? [];
  return container === undefined || path === undefined ? { path: text } : { container, path: path === "" ? "/" : path };
}

async function copyOut(source: Opened, name: string, target: string): Promise<void> {
  if (target === "-") {
    // As docker: the thing under its own name.
    if (!source.directory)
      throw invalidArgument(`"${name}" is no directory: only directories can be had as an archive`);
    await run(["tar", "-C", source.path, "-cf", "-", "."], { output: "inherit" });
    return;
  }
  const own = basename(resolve("/", name));
  const to = placeFor({ directory: source.directory, contents: /\/\.$/.test(name), name: own }, target, kindOf(target));
  if (source.directory) await copyTree(source.path, makeDirectory(to));
  else await copyFile(source.path, to);
}

async function copyIn(inside: Inside, source: string, target: string, ends: DisposableStack): Promise<void> {
  if (source === "-") {
    const place = ends.use(inside.open(target));
    if (!place.directory) throw invalidArgument(`"${target}" is no directory: an archive is unpacked into one`);
    await run(["tar", "-C", place.path, "-xf", "-"], { input: "inherit" });
    return;
  }
  const kind = kindOf(source);
  if (kind === undefined) throw notFound(`there is no "${source}" on this machine`);
  const directory = kind === "directory";
  const there = inside.find(target);
  if (there !== undefined) ends.use(there);
  const what = { directory, contents: /\/\.$/.test(source), name: basename(resolve(source)) };
  const to = placeFor(what, target, there === undefined ? undefined : there.directory ? "directory" : "file");
  const known = to === target ? there : undefined;
  if (known !== undefined && !known.directory) {
    await copyFile(source, known.path);
    return;
  }
  if (known !== undefined) {
    await copyTree(source, known.path);
    return;
  }
  const parent = ends.use(inside.open(dirname(resolve("/", to))));
  const path = join(parent.path, basename(resolve("/", to)));
  const old = inside.find(to);
  if (old !== undefined) ends.use(old);
  // It leads nowhere inside, and might lead somewhere here.
  if (old === undefined && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    throw failedPrecondition(`"${to}" in the container is a link that leads nowhere`);
  if (directory) await copyTree(source, old?.path ?? makeDirectory(path));
  else await copyFile(source, old?.path ?? path);
}

/** Where a copy goes, as cp(1) and docker have it. @throws InvalidArgument, NotFound */
function placeFor(
  { directory, contents, name }: { directory: boolean; contents: boolean; name: string },
  target: string,
  there: "file" | "directory" | undefined,
): string {
  if (there === "directory") return contents && directory ? target : join(target, name);
  if (there === "file" && directory)
    throw invalidArgument(`"${target}" is a file: a directory can't be copied over it`);
  if (there === undefined && !directory && target.endsWith("/")) throw notFound(`there is no directory "${target}"`);
  return target;
}

function kindOf(path: string): "file" | "directory" | undefined {
  try {
    return statSync(path).isDirectory() ? "directory" : "file";
  } catch {
    return undefined;
  }
}

function makeDirectory(path: string): string {
  try {
    mkdirSync(path);
  } catch (error) {
    if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
  return path;
}
