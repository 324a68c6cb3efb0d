import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { allPages } from "./all.ts";
import { visibleText } from "./roff.ts";

const pages = allPages("2026-01-01");

test("there is a page for hull, for each command and for each group of ctr's", () => {
  const names = pages.map(({ name }) => name);
  for (const name of ["hull.1", "hull-run.1", "hull-ps.1", "hull-ctr.1", "hull-ctr-images.1", "hull-daemon.8"])
    expect(names).toContain(name);
  expect(new Set(names).size).toBe(names.length);
});

test("a page says what the help says", () => {
  const run = pages.find(({ name }) => name === "hull-run.1")?.text ?? "";
  expect(run).toContain('.TH "HULL\\-RUN" 1 "2026-01-01"');
  expect(run).toContain("\\fB\\-d\\fR, \\fB\\-\\-detach\\fR\nRun in the background and print the id.");
  const images = pages.find(({ name }) => name === "hull-ctr-images.1")?.text ?? "";
  expect(images).toContain('.SS "import"');
});

const mandoc = Bun.which("mandoc");
test.skipIf(mandoc === null)(
  `mandoc finds nothing wrong${mandoc === null ? " (skipped: it is not installed)" : ""}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "hull-man-"));
    try {
      const files = pages.map(({ name, text }) => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
      });
      const { stdout } = Bun.spawnSync(["mandoc", "-T", "lint", "-W", "warning", ...files]);
      expect(stdout.toString()).toBe("");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test("no text is taken for a request of roff", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const line of visibleText(text).split("\n")) expect(line).not.toMatch(/^[.']/);
    }),
  );
});
