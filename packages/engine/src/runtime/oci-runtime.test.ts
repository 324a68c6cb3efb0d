import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runtimeForSpec } from "./oci-runtime.ts";

describe("an OCI runtime that nobody named", () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-crun-"));
  const crun = join(directory, "crun");
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const chosen = async (version: string, spec: string, runc: string | null = "/runc"): Promise<string> => {
    writeFileSync(crun, `#!/bin/sh\necho "crun version ${version}"\necho "spec: 1.0.0"\n`, { mode: 0o755 });
    return await runtimeForSpec(crun, new TextEncoder().encode(spec), () => runc);
  };
  const of = (ociVersion: string): string => JSON.stringify({ ociVersion, process: {} });

  test("is runc where an older crun refuses the specification's version", async () => {
    expect(await chosen("1.8.1", of("1.2.1"))).toBe("/runc");
    expect(await chosen("1.14.2", of("1.3.0"))).toBe("/runc");
    expect(await chosen("1.8.1", of("1.2.1"), null)).toBe(crun);
  });

  test("is crun where it takes it", async () => {
    for (const version of ["1.0.2", "1.0.2-dev", "1.1.0"]) expect(await chosen("1.8.1", of(version))).toBe(crun);
    for (const version of ["1.14.3", "1.21", "2.0.1"]) expect(await chosen(version, of("1.2.1"))).toBe(crun);
  });

  test("stays what it is where it isn't crun, and what is wrong with the specification it tells itself", async () => {
    expect(await runtimeForSpec("/usr/bin/runc", new Uint8Array(), () => null)).toBe("/usr/bin/runc");
    for (const spec of ["", "{", "null", "{}", '{"ociVersion": 1}']) expect(await chosen("1.21", spec)).toBe(crun);
  });
});
