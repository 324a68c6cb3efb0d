/** The declarations of the packages: written by tsc, then bundled, so that users get no name of the workspace's. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { rolldown } from "rolldown";
import { dts } from "rolldown-plugin-dts";
import { project } from "../setup.mjs";
import { packages } from "./packages.mjs";

/** What users import, by the names of files. */
const entries = Object.fromEntries(
  packages.flatMap(({ name: of, folder, entry, more = {} }) =>
    Object.entries({ [folder]: entry, ...more }).map(([name, source]) => [name, { source, of }]),
  ),
);

/** @returns files with their name, text, what they import, and the packages that have to contain them */
export async function bundleTypes() {
  const folder = mkdtempSync(join(tmpdir(), "hull-types-"));
  try {
    emit(folder);
    return await bundle(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function emit(folder) {
  const paths = {};
  for (const name of readdirSync(join(project, "packages"))) {
    paths[`@hull/${name}`] = [join(project, "packages", name, "src/index.ts")];
    paths[`@hull/${name}/*`] = [join(project, "packages", name, "src/*.ts")];
  }
  const config = {
    extends: join(project, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      noCheck: true,
      declaration: true,
      emitDeclarationOnly: true,
      stripInternal: true,
      outDir: folder,
      rootDir: join(project, "packages"),
      typeRoots: [join(project, "node_modules/@types")],
      // By their sources: what is found in node_modules isn't emitted.
      paths,
    },
    include: [],
    files: Object.values(entries).map(({ source }) => join(project, source)),
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  // Types that have no name to write are left out, with an error; if they are needed, bundling misses them.
  spawnSync(join(project, "node_modules/.bin/tsc"), ["-p", join(folder, "tsconfig.json")], { stdio: "ignore" });
}

async function bundle(folder) {
  const declaration = (source) => join(folder, source.replace(/^packages\//, "").replace(/\.ts$/, ".d.ts"));
  const bundled = await rolldown({
    checks: { pluginTimings: false },
    input: Object.fromEntries(Object.entries(entries).map(([name, { source }]) => [name, declaration(source)])),
    cwd: project,
    external: [/^node:/],
    plugins: [resolver(folder), dts({ dtsInput: true, tsconfig: false })],
  });
  const { output } = await bundled.generate({ chunkFileNames: "[name]-[hash].js" });
  await bundled.close();
  return output.map(({ fileName, code, imports, dynamicImports }) => ({
    name: fileName,
    // Regions are named by the folder where the declarations were.
    text: code.replace(/^\/\/(?:#(?:end)?region.*| .*\.d\.ts)\n/gm, ""),
    imports: [...imports, ...dynamicImports],
    roots: Object.entries(entries).flatMap(([name, { of }]) => (fileName === `${name}.d.ts` ? [of] : [])),
  }));
}

const resolver = (folder) => ({
  name: "workspace",
  resolveId(specifier, from) {
    const own = /^@hull\/([^/]+)(?:\/(.+))?$/.exec(specifier);
    if (own !== null) return found(join(folder, own[1], "src", `${own[2] ?? "index"}.d.ts`), from);
    if (specifier === "@bufbuild/protobuf/wire")
      return join(project, "node_modules/@bufbuild/protobuf/dist/esm/wire/index.d.ts");
    if (!specifier.startsWith(".") || from === undefined) return null;
    return found(resolve(dirname(from), specifier.replace(/\.[jt]s$/, ".d.ts")), from);
  },
});

function found(path, from) {
  if (existsSync(path)) return path;
  throw new Error(`"${from}" takes types of "${path}", which has some that can't be written down: give them names`);
}
