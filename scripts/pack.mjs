/**
 * `npm run pack`: what is published, as folders to `npm publish`: `dist/packages/client`, `…/engine`, `…/linux-x64` …
 *
 *   node scripts/pack.mjs [--no-executable] [OUT]     somewhere else than dist/packages
 *
 * The packages of the workspace are bundled into few: see `pack/packages.mjs`. A module is in one of them only, so that an error of the
 * client's is the same class in the engine. Ends with a table of sizes.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { bundleCode } from "./pack/code.mjs";
import { internalPath, manifestOf, packages, platform } from "./pack/packages.mjs";
import { bundleTypes } from "./pack/types.mjs";
import { ensureBuilt, ensureNpmPackages, project } from "./setup.mjs";

const args = process.argv.slice(2);
const withExecutable = !args.includes("--no-executable");
const output = resolve(args.find((arg) => !arg.startsWith("-")) ?? join(project, "dist", "packages"));

ensureNpmPackages();
rmSync(output, { recursive: true, force: true });
const [code, types] = await Promise.all([bundleCode(), bundleTypes()]);
/** Names of files by whose package they are in. */
const owners = new Map([...ownersOf(code), ...ownersOf(types)]);
for (const one of packages) {
  const folder = join(output, one.folder);
  mkdirSync(folder, { recursive: true });
  for (const file of [...code, ...types]) {
    if (owners.get(file.name) === one) writeFileSync(join(folder, file.name), linked(file, one));
  }
  writeManifest(folder, manifestOf(one));
  copyFileSync(join(project, one.source, "README.md"), join(folder, "README.md"));
}
if (withExecutable) packExecutable();
printSizes();

/** Each file goes to the first package that reaches it, in the order in which they depend on each other. */
function ownersOf(files) {
  const byName = new Map(files.map((file) => [file.name, file]));
  const owner = new Map();
  const give = (name, one) => {
    const file = byName.get(name);
    if (file === undefined || owner.has(name)) return;
    owner.set(name, one);
    for (const imported of file.imports) give(imported, one);
  };
  for (const one of packages) for (const file of files) if (file.roots.includes(one.name)) give(file.name, one);
  return owner;
}

/** The text of a file, with what is in another package imported from there. */
function linked({ name, text, imports }, one) {
  let result = text;
  for (const imported of imports) {
    const there = owners.get(imported);
    if (there === undefined || there === one) continue;
    const specifier = `./${imported.replace(/\.d\.ts$/, ".js")}`;
    // What is loaded when it is needed has its name in other quotes.
    for (const quote of ['"', "`"])
      result = result.replaceAll(quote + specifier + quote, quote + internalPath(there, specifier) + quote);
  }
  for (const [, file] of result.matchAll(/(?:from|import\()\s*["'`]\.\/([\w.-]+)\.js["'`]/g)) {
    const other = `${file}${name.endsWith(".d.ts") ? ".d.ts" : ".js"}`;
    if (owners.get(other) !== one)
      throw new Error(`"${name}" of ${one.name} loads "${other}", which isn't in that package`);
  }
  return result;
}

function writeManifest(folder, manifest) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(join(project, "LICENSE"), join(folder, "LICENSE"));
}

/** The executable for this machine's processor; Bun's compiler would have to download itself to make one for another. */
function packExecutable() {
  const folder = join(output, platform.folder);
  mkdirSync(join(folder, "bin"), { recursive: true });
  const built = process.env.HULL_EXECUTABLE ?? ensureBuilt();
  const target = join(folder, "bin", "hull");
  try {
    linkSync(built, target);
  } catch {
    copyFileSync(built, target);
    chmodSync(target, 0o755);
  }
  writeManifest(folder, platform.manifest);
  writeFileSync(
    join(folder, "README.md"),
    `# ${platform.manifest.name}\n\n${platform.manifest.description}. Install \`@hull/engine\`, which asks for it.\n`,
  );
}

function printSizes() {
  const rows = readdirSync(output)
    .filter((folder) => existsSync(join(output, folder, "package.json")))
    .map((folder) => {
      const names = readdirSync(join(output, folder)).filter((name) => statSync(join(output, folder, name)).isFile());
      const all = readdirSync(join(output, folder), { recursive: true })
        .map((name) => statSync(join(output, folder, name)))
        .filter((stats) => stats.isFile());
      const code = names.filter((name) => name.endsWith(".js")).map((name) => readFileSync(join(output, folder, name)));
      return {
        package: `@hull/${folder}`,
        files: all.length,
        "KiB unpacked": kib(all.reduce((sum, { size }) => sum + size, 0)),
        "KiB code": kib(code.reduce((sum, { length }) => sum + length, 0)),
        "KiB code, gzip": kib(code.reduce((sum, bytes) => sum + gzipSync(bytes).length, 0)),
      };
    });
  console.table(rows);
}

function kib(bytes) {
  return Math.round(bytes / 1024);
}
