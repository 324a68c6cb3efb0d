import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mediaTypes } from "@hull/oci";
import { ProgramVerifier } from "./index.ts";

class Programs implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "hull-verifier-"));

  add(name: string, script: string): void {
    writeFileSync(join(this.path, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(this.path, name), 0o755);
  }

  verify(max = 10, timeout = 5000) {
    const verifier = new ProgramVerifier({ directory: this.path, max, timeout });
    return verifier.verify("example.com/a:1", descriptor, new AbortController().signal);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
    rmSync(`${this.path}.in`, { force: true });
  }
}

const descriptor = { mediaType: mediaTypes.ociManifest, digest: `sha256:${"a".repeat(64)}`, size: 405 };

describe("programs that verify images", () => {
  test("are told name, digest and descriptor, and all have to allow", async () => {
    using programs = new Programs();
    programs.add("one", `cat > ${programs.path}/../$(basename ${programs.path}).in; echo "$@"`);
    programs.add("two", "echo no debug >&2; exit 0");
    expect(await programs.verify()).toEqual({
      ok: true,
      reason: `one => -name example.com/a:1 -digest ${descriptor.digest} -stdin-media-type application/vnd.oci.descriptor.v1+json, two => `,
    });
    const input = `${programs.path}.in`;
    expect(readFileSync(input, "utf8")).toBe(JSON.stringify(descriptor));
    rmSync(input);
    programs.add("three", 'echo "not today"; exit 3');
    expect(await programs.verify()).toEqual({
      ok: false,
      reason: "verifier three rejected image (exit code 3): not today",
    });
    expect((await programs.verify(1)).ok).toBe(true);
    expect((await programs.verify(0)).ok).toBe(true);
    expect((await programs.verify(-1)).ok).toBe(false);
  });

  test("no directory allows all", async () => {
    const verifier = new ProgramVerifier({ directory: "/nonexistent/programs", max: 10, timeout: 1000 });
    expect((await verifier.verify("a", descriptor, new AbortController().signal)).ok).toBe(true);
  });

  test("one that takes too long is killed with what it started, and nothing is allowed", async () => {
    using programs = new Programs();
    programs.add("slow", `sh -c 'sleep 2; touch ${programs.path}/alive'; true`);
    await expect(programs.verify(10, 100)).rejects.toThrow("failed to call verifier slow: it took longer than 0.1 s");
    await Bun.sleep(2100);
    expect(existsSync(join(programs.path, "alive"))).toBe(false);
  });

  test("one that can't be run allows nothing", async () => {
    using programs = new Programs();
    writeFileSync(join(programs.path, "text"), "no program");
    await expect(programs.verify()).rejects.toThrow("failed to call verifier text");
  });
});
