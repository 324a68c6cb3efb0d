/** What is published, of which sources, and the manifests. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { project } from "../setup.mjs";

const { version } = read("package.json");

const common = {
  version,
  license: "Apache-2.0",
  type: "module",
  keywords: ["containers", "containerd", "oci", "sandbox"],
};

/** The executable for this machine's processor. */
export const platform = {
  folder: `linux-${process.arch}`,
  manifest: {
    name: `@hull/linux-${process.arch}`,
    description: `The executable of hull for Linux on ${process.arch}`,
    ...common,
    os: ["linux"],
    cpu: [process.arch],
    libc: ["glibc"],
    bin: { hull: "./bin/hull" },
    files: ["bin"],
  },
};

/**
 * The packages, each behind those that it depends on.
 *
 *   entry    the module that users import; files are named for it
 *   more     other modules that users import, by the names below the package's
 *   seams    `imports` of the workspace's packages, whose implementation by runtime is chosen when the package is loaded
 *   parts    modules that are loaded, or started, by the path of their file
 *   source   the folder of its README
 */
export const packages = [
  {
    name: "@hull/client",
    folder: "client",
    source: "packages/client",
    entry: "packages/client/src/index.ts",
    more: { services: "packages/client/src/services.ts" },
    description: "Containers from a TypeScript program, by hull's daemon or a containerd",
    engines: { node: ">=20" },
    seams: {
      "#fifo": seam("packages/client/src/fifo"),
      "#ffi": seam("packages/sys/src/ffi"),
      "#host": seam("packages/sys/src/host"),
      "#readiness": seam("packages/sys/src/readiness"),
    },
    parts: { "readiness-thread": "packages/sys/src/readiness/node-thread.ts" },
    manifest: {
      peerDependencies: { koffi: `^${dependency("sys", "koffi")}` },
      peerDependenciesMeta: { koffi: { optional: true } },
    },
  },
  {
    name: "@hull/engine",
    folder: "engine",
    source: "packages/embed",
    entry: "packages/embed/src/index.ts",
    description: "containerd inside a TypeScript program: containers without a daemon",
    engines: { node: ">=24" },
    seams: { "#sqlite": seam("packages/engine/src/metadata/sqlite") },
    manifest: {
      os: ["linux"],
      dependencies: { "@hull/client": version, koffi: `^${dependency("sys", "koffi")}` },
      optionalDependencies: { [platform.manifest.name]: version },
    },
  },
  {
    name: "@hull/testing",
    folder: "testing",
    source: "packages/testing",
    entry: "packages/testing/src/index.ts",
    description: "Throw-away containers for test suites",
    engines: { node: ">=20" },
    seams: {},
    parts: { "testing-reaper": "packages/testing/src/reaper/main.ts" },
    manifest: {
      os: ["linux"],
      dependencies: { "@hull/client": version },
      peerDependencies: { "@hull/engine": version },
      peerDependenciesMeta: { "@hull/engine": { optional: true } },
    },
  },
].filter(({ entry }) => existsSync(join(project, entry)));

/** Where another package finds a file of this one. For our own packages alone: names change with every version. */
export function internalPath({ name }, file) {
  return `${name}/internal/${file.replace(/^\.\//, "")}`;
}

/** The `package.json` to publish. */
export function manifestOf(one) {
  const { name, folder, description, engines, manifest, more = {} } = one;
  const { peerDependencies, peerDependenciesMeta, ...rest } = manifest;
  return {
    name,
    description,
    ...common,
    engines,
    sideEffects: false,
    main: `./${folder}.js`,
    types: `./${folder}.d.ts`,
    exports: {
      ".": fileOf(folder),
      ...Object.fromEntries(Object.keys(more).map((other) => [`./${other}`, fileOf(other)])),
      "./internal/*": "./*",
      "./package.json": "./package.json",
    },
    imports: importsOf(one),
    ...rest,
    ...(peerDependencies === undefined ? {} : { peerDependencies, peerDependenciesMeta }),
  };
}

function fileOf(entry) {
  return { types: `./${entry}.d.ts`, default: `./${entry}.js` };
}

/** Its own seams, and those of packages before it that its files may reach. */
function importsOf(one) {
  const found = {};
  for (const other of packages) {
    for (const name of Object.keys(other.seams)) {
      const place = (file) => (other === one ? `./${file}` : internalPath(other, file));
      found[name] = { bun: place(`${name.slice(1)}-bun.js`), default: place(`${name.slice(1)}-node.js`) };
    }
    if (other === one) break;
  }
  return found;
}

function seam(folder) {
  return { bun: `${folder}/bun.ts`, node: `${folder}/node.ts` };
}

function read(path) {
  return JSON.parse(readFileSync(join(project, path), "utf8"));
}

/** The version of an npm package that a package of the workspace has. */
function dependency(of, name) {
  const { dependencies = {}, peerDependencies = {} } = read(`packages/${of}/package.json`);
  return dependencies[name] ?? peerDependencies[name];
}
