/** The JavaScript of the packages, made of the workspace's TypeScript by rolldown. */
import { join } from "node:path";
import { rolldown } from "rolldown";
import { project } from "../setup.mjs";
import { packages } from "./packages.mjs";

/** What Node 20 hasn't. */
const standIns = {
  "Promise.withResolvers": "withResolvers",
  AsyncDisposableStack: "AsyncDisposableStack",
  DisposableStack: "DisposableStack",
};

/** @returns files with their name, text, what they import, and the packages that have to contain them */
export async function bundleCode() {
  const roots = new Map();
  const input = {};
  const add = (name, source, of) => {
    input[name] = join(project, source);
    roots.set(`${name}.js`, of);
  };
  for (const { name, folder, entry, more = {}, seams, parts = {} } of packages) {
    add(folder, entry, name);
    for (const [seam, { bun, node }] of Object.entries(seams)) {
      add(`${seam.slice(1)}-bun`, bun, name);
      add(`${seam.slice(1)}-node`, node, name);
    }
    for (const [other, source] of Object.entries(more)) add(other, source, name);
    for (const [part, source] of Object.entries(parts)) add(part, source, name);
  }
  const bundle = await rolldown({
    input,
    cwd: project,
    platform: "neutral",
    external: [/^#/, /^node:/, /^bun:/, "koffi"],
    resolve: { mainFields: ["module", "main"], conditionNames: ["import", "module"] },
    transform: {
      // What has `using` in it is written in older words.
      target: "node20",
      inject: Object.fromEntries(
        Object.entries(standIns).map(([name, own]) => [name, [join(project, "scripts/pack/stand-ins.ts"), own]]),
      ),
    },
    plugins: [threadPlugin],
    onLog(level, log, handle) {
      // Loading it apart is for the workspace's executable; here it comes with what needs it anyway.
      if (log.code !== "INEFFECTIVE_DYNAMIC_IMPORT") handle(level, log);
    },
  });
  const { output } = await bundle.generate({
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    // Names and lines are left as they are: they stand in the traces that users send, and Node prints the line that threw, however long it is.
    minify: { compress: { sequences: false, joinVars: false }, mangle: false, codegen: { removeWhitespace: false } },
    comments: false,
    codeSplitting: { groups: [{ name: groupOf(), debugName: "packages" }] },
  });
  await bundle.close();
  return output.map(({ fileName, code, imports, dynamicImports }) => ({
    name: fileName,
    text: code,
    imports: [...imports, ...dynamicImports],
    roots: roots.has(fileName) ? [roots.get(fileName)] : [],
  }));
}

/**
 * Few files instead of one for each set of modules that some entries share. What is loaded only when it is needed stays so.
 * @returns what gives the group of a module
 */
function groupOf() {
  const source = (path) => join(project, "packages", path);
  const lazily = source("api/src/typeurl.ts");
  /** By the first of these that loads it. */
  const roots = [
    ["client", () => [source("client/src/index.ts")]],
    // Each for a kind of event, too small to be worth a file.
    ["messages", (moduleOf) => moduleOf(lazily).dynamicallyImportedIds],
    ["system", () => [source("sys/src/index.ts"), source("sys/src/stream.ts"), source("sys/src/mount.ts")]],
    // For containerds that can't pull by themselves.
    ["pull", () => [source("client/src/sdk/here.ts")]],
  ];
  let groups;
  return (id, context) => {
    groups ??= closures(roots, (one) => context.getModuleInfo(one));
    return groups.get(id) ?? null;
  };
}

/** Which of the groups each module is in: that of the first root that it is loaded with. */
function closures(roots, getModuleInfo) {
  const groups = new Map();
  const add = (id, name) => {
    const info = getModuleInfo(id);
    if (info === null || info.isExternal || groups.has(id)) return;
    groups.set(id, name);
    for (const imported of info.importedIds) add(imported, name);
  };
  for (const [name, idsOf] of roots) for (const id of idsOf(getModuleInfo)) add(id, name);
  return groups;
}

/** The thread's file has another name than in the sources. */
const threadPlugin = {
  name: "threads",
  transform(code, id) {
    if (!id.endsWith("/readiness/node.ts")) return null;
    const changed = code.replace("./node-thread.ts", "./readiness-thread.js");
    if (changed === code)
      throw new Error(`"${id}" doesn't load "./node-thread.ts" any more: see scripts/pack/code.mjs`);
    return changed;
  },
};
