import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contextFor } from "../context.ts";
import { Metadata } from "../metadata/index.ts";
import { LocalContentFixture } from "./fixture.ts";
import { LocalContentStore } from "./store.ts";
import { expectCode } from "./suite.ts";

const ctx = contextFor("default");

/** The child: writes pieces of one blob without end, and says so after each. */
const writerProgram = `
  import { contextFor } from ${JSON.stringify(join(import.meta.dir, "../context.ts"))};
  import { Metadata } from ${JSON.stringify(join(import.meta.dir, "../metadata/index.ts"))};
  import { LocalContentStore } from ${JSON.stringify(join(import.meta.dir, "store.ts"))};
  const [directory] = process.argv.slice(-1);
  const store = new LocalContentStore({ metadata: Metadata.open(directory), events: { publish() {} }, root: directory + "/content" });
  const writer = await store.writer(contextFor("default"), "killed", { total: 1 << 30 });
  for (let n = 0; ; n++) {
    await writer.write(new Uint8Array(100_000).fill(n));
    console.log(writer.offset);
  }
`;

describe("faults", () => {
  test("after kill -9 of the writing process the next one resumes", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hull-content-kill-"));
    try {
      const child = Bun.spawn([process.execPath, "-e", writerProgram, directory], {
        stdout: "pipe",
        stderr: "inherit",
      });
      let text = "";
      for await (const chunk of child.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text.split("\n").length > 20) break;
      }
      child.kill("SIGKILL");
      await child.exited;
      const acknowledged = Number(text.trimEnd().split("\n").at(-2));

      using metadata = Metadata.open(directory);
      const store = new LocalContentStore({
        metadata,
        events: { publish: () => undefined },
        root: join(directory, "content"),
      });
      await using writer = await store.writer(ctx, "killed");
      expect(writer.offset).toBeGreaterThanOrEqual(acknowledged);
      const whole = Buffer.alloc(Math.ceil(writer.offset / 100_000 + 1) * 100_000);
      for (let n = 0; n * 100_000 < whole.length; n++) whole.fill(n, n * 100_000, (n + 1) * 100_000);
      await writer.write(whole.subarray(writer.offset));
      const expected = `sha256:${createHash("sha256").update(whole).digest("hex")}`;
      expect(await writer.commit({ size: whole.length, expected })).toEqual({ digest: expected, size: whole.length });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a full disk is said, and what was written stays (needs root: mounts a tmpfs)",
    async () => {
      const small = mkdtempSync(join(tmpdir(), "hull-content-full-"));
      Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small]);
      try {
        await using fixture = new LocalContentFixture({ root: join(small, "content") });
        const { store } = fixture;
        const bytes = new Uint8Array(1 << 20).fill(5);
        await using writer = await store.writer(ctx, "full");
        await writer.write(bytes);
        expect(await expectCode(writer.write(new Uint8Array(8 << 20)), "resourceExhausted")).toContain("no space left");
        expect(writer.offset).toBe(bytes.length);
        await writer.write(bytes);
        const { digest, size } = await writer.commit();
        expect(size).toBe(2 << 20);
        await store.verify(ctx, digest);
      } finally {
        Bun.spawnSync(["umount", small]);
        rmSync(small, { recursive: true });
      }
    },
  );
});
