/**
 * `npm test`: type check, lint, the build, and every test, area by area.
 *
 *   node scripts/test.mjs [AREA…]     only these areas (a folder below packages/ or test/), without the checks
 *
 * Ends with a line `N passed, N failed, N skipped`. An area of which every test was skipped fails: a skip must not hide it (but see `mayBeSkipped`).
 * An area that fails runs a second time, and that counts; the end names it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  bun,
  ensureBuilt,
  ensureDebianPackages,
  ensureDockerUnpacked,
  ensureNpmPackages,
  peerPackages,
  project,
  runtimePackages,
  testPackages,
} from "./setup.mjs";

const only = process.argv.slice(2);
ensureNpmPackages();
ensureDebianPackages({ ...runtimePackages, ...peerPackages });
ensureDebianPackages(testPackages, { optional: true });

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
/** What failed, and passed when it ran again. */
const unsteady = [];

/** How many failures of an area the end tells of, and how many characters of each. */
const mostTold = 5;
const longestMessage = 600;
const entities = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

/** One check that counts as one test. */
function check(name, command, args) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(command, args, { cwd: project, stdio: "inherit" });
  if (status === 0) total.passed++;
  else {
    total.failed++;
    failures.push(name);
  }
}

const bin = (name) => join(project, "node_modules", ".bin", name);
if (only.length === 0) {
  check("types", bin("tsc"), ["--noEmit"]);
  check("lint and format", bin("biome"), ["check", "."]);
}
process.env.HULL_EXECUTABLE = ensureBuilt();
if (only.length === 0 || only.includes("test/clients")) process.env.HULL_DOCKER_PREFIX ??= ensureDockerUnpacked();

/** Folders with tests: every package, every folder (or lone file) of test/, and the examples. */
const areas = [
  ...readdirSync(join(project, "packages")).map((name) => `packages/${name}`),
  ...(existsSync(join(project, "test")) ? readdirSync(join(project, "test")).map((name) => `test/${name}`) : []),
  "examples",
].filter((area) => only.length === 0 || only.some((wanted) => area === wanted.replace(/\/$/, "")));

const hasTests = (area) =>
  area.endsWith(".test.ts") ||
  spawnSync("find", [area, "-name", "*.test.ts", "-not", "-path", "*/node_modules/*"], {
    cwd: project,
    encoding: "utf8",
  }).stdout !== "";

/** Areas of programs that nobody wants installed for a test: Docker's engine changes the machine's firewall as it starts. */
const mayBeSkipped = new Set(["test/clients"]);

/** Sums of the root element of a JUnit report, and what failed by it. */
function read(report) {
  const text = readFileSync(report, "utf8");
  const root = /<testsuites[^>]*>/.exec(text)?.[0] ?? "";
  const number = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const why = [...text.matchAll(/<testcase ([^>]*)>\s*<(?:failure|error) ([^>]*)>/g)].map(
    ([, test, failure]) => `${attribute(test, "name")}: ${attribute(failure, "message").slice(0, longestMessage)}`,
  );
  return { tests: number("tests"), failed: number("failures") + number("errors"), skipped: number("skipped"), why };
}

/** An attribute of an element of the report, which escapes what is no text (XML 1.0, sections 2.4 and 4.1). */
function attribute(attributes, name) {
  const escaped = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return escaped.replaceAll(/&(?:#(\d+)|(\w+));/g, (_, number, entity) =>
    number === undefined ? (entities[entity] ?? "") : String.fromCodePoint(Number(number)),
  );
}

/** How the end tells of failed tests: whoever reads only the end has to know what to look into. */
const told = (why) =>
  why
    .slice(0, mostTold)
    .map((line) => `\n  ${line.replaceAll(/\n+/g, "\n    ")}`)
    .join("");

const reports = mkdtempSync(join(tmpdir(), "hull-test-"));

/** Runs the tests of an area once. */
function runArea(area) {
  const report = join(reports, `${area.replaceAll("/", "-")}.xml`);
  rmSync(report, { force: true });
  const { status } = spawnSync(
    bun,
    ["test", `./${area}`, "--timeout", "120000", "--reporter=junit", "--reporter-outfile", report],
    { cwd: project, stdio: "inherit" },
  );
  return { status, ...(existsSync(report) ? read(report) : { tests: 0, failed: 0, skipped: 0, why: [] }) };
}

for (const area of areas.filter(hasTests)) {
  console.log(`\n== ${area}`);
  let run = runArea(area);
  // Most areas race real kernels, runtimes and peers on whatever machine this is. What is broken fails twice; what failed once is named at
  // the end, for somebody to look into.
  if (run.status !== 0) {
    const first = `${area}: ${run.failed} of ${run.tests} failed (status ${run.status}) in the first run`;
    const why = told(run.why);
    console.log(`\n== ${area}, once more`);
    run = runArea(area);
    if (run.status === 0) unsteady.push(`${first}, and passed when it ran again${why}`);
  }
  const { status, tests, failed, skipped, why } = run;
  total.passed += tests - failed - skipped;
  total.failed += failed;
  total.skipped += skipped;
  if (failed > 0) failures.push(`${area}: ${failed} failed${told(why)}`);
  else if (status !== 0) {
    total.failed++;
    failures.push(`${area}: the test run ended with status ${status}`);
  } else if (tests === skipped && !mayBeSkipped.has(area)) {
    total.failed++;
    failures.push(`${area}: all ${tests} tests were skipped, so nothing of it is proven here`);
  }
}
rmSync(reports, { recursive: true, force: true });

console.log("");
for (const area of unsteady) console.log(`unsteady: ${area}`);
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
