// Generates packages/api/src/gen from proto/.
//
//   node scripts/proto.mjs           writes the generated files
//   node scripts/proto.mjs --check   changes nothing, fails if what is committed is not what proto/ gives
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const binaries = join(root, "node_modules/.bin");
const committed = join(root, "packages/api/src/gen");

/** What ts-proto is asked for, and why where it isn't plain. */
const options = [
  "outputServices=generic-definitions", // one definition serves gRPC, ttrpc and memory
  "forceLong=bigint",
  "useDate=false", // a Date would lose the nanoseconds
  "enumsAsLiterals=true", // TypeScript's own enums are not erasable syntax
  "unrecognizedEnum=false",
  "esModuleInterop=true",
  "importSuffix=.ts",
  "useExactTypes=false",
  "outputJsonMethods=false",
  "outputPartialMethods=true",
  "exportCommonSymbols=false",
];

/** Compiles every file of proto/ to TypeScript under `directory`. */
function generate(directory) {
  const template = {
    version: "v2",
    plugins: [
      {
        local: join(binaries, "protoc-gen-ts_proto"),
        out: directory,
        opt: options,
        include_imports: true,
        include_wkt: true,
      },
    ],
  };
  const { status, error } = spawnSync(join(binaries, "buf"), ["generate", "--template", JSON.stringify(template)], {
    cwd: join(root, "proto"),
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Paths of all files under `directory`, relative to it, sorted. */
function filesOf(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

/** Files that are missing, left over or different in `actual`. */
function differences(expected, actual) {
  const names = new Set([...filesOf(expected), ...filesOf(actual)]);
  return [...names].filter((name) => {
    const paths = [join(expected, name), join(actual, name)];
    if (!paths.every((path) => existsSync(path))) return true;
    const [a, b] = paths.map((path) => readFileSync(path));
    return !a.equals(b);
  });
}

const temporary = mkdtempSync(join(tmpdir(), "hull-proto-"));
try {
  generate(temporary);
  if (process.argv.includes("--check")) {
    const stale = differences(temporary, committed);
    if (stale.length > 0) {
      console.error(
        `packages/api/src/gen is not what proto/ gives; run "npm run proto". Different:\n${stale.join("\n")}`,
      );
      process.exitCode = 1;
    }
  } else {
    rmSync(committed, { recursive: true, force: true });
    cpSync(temporary, committed, { recursive: true });
    console.log(`wrote ${filesOf(committed).length} files to ${relative(root, committed)}`);
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
