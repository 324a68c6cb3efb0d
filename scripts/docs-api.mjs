/**
 * `npm run docs:api`: the reference in `docs/api`, made of the doc comments of what is published. A test says if it isn't current.
 *
 *   node scripts/docs-api.mjs [--packed FOLDER] [OUT]     of packages that were packed already; somewhere else than docs/api
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packages } from "./pack/packages.mjs";
import { referenceOf } from "./pack/reference.mjs";
import { project } from "./setup.mjs";

const { values, positionals } = parseArgs({ options: { packed: { type: "string" } }, allowPositionals: true });
const output = resolve(positionals[0] ?? join(project, "docs/api"));
const own = values.packed === undefined ? mkdtempSync(join(tmpdir(), "hull-api-")) : undefined;
try {
  if (own !== undefined) {
    execFileSync("node", [join(project, "scripts/pack.mjs"), "--no-executable", own], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  const packed = own ?? values.packed;
  const files = new Map();
  for (const { folder } of packages) {
    for (const name of readdirSync(join(packed, folder)).filter((one) => one.endsWith(".d.ts"))) {
      files.set(name, readFileSync(join(packed, folder, name), "utf8"));
    }
  }
  mkdirSync(output, { recursive: true });
  const pages = referenceOf(packages, files);
  for (const [name, page] of pages) writeFileSync(join(output, `${name}.md`), page);
} finally {
  if (own !== undefined) rmSync(own, { recursive: true, force: true });
}
