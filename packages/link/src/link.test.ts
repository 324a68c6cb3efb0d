import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as bun from "./bun.ts";
import type { ByteLink, LinkFactory } from "./index.ts";
import * as node from "./node.ts";

/** Collects what a link reads until it is closed. */
function received(link: ByteLink): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const chunks: Uint8Array[] = [];
  link.start({ data: (chunk) => void chunks.push(chunk), closed: () => resolve(Buffer.concat(chunks)) });
  return promise;
}

describe.each<[string, LinkFactory]>([
  ["bun", bun],
  ["node", node],
])("links of %s", (_, factory) => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hull-link-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Both ends of a connection. */
  async function pair(): Promise<{ near: ByteLink; far: ByteLink } & Disposable> {
    const path = join(folder, "socket");
    const { promise, resolve } = Promise.withResolvers<ByteLink>();
    const listener = await factory.listen({ path }, resolve);
    const near = await factory.connect({ path });
    return { near, far: await promise, [Symbol.dispose]: () => listener.stop() };
  }

  test("carry all that was written, in order, before they close", async () => {
    using ends = await pair();
    const { near, far } = ends;
    const [here, there] = [received(near), received(far)];
    const bytes = Buffer.alloc(3_000_000, "0123456789abcdef-");
    for (let at = 0; at < bytes.length; at += 70_000) {
      if (!near.write(Uint8Array.from(bytes.subarray(at, at + 70_000)))) await near.drained();
    }
    near.close();
    expect((await there).equals(bytes)).toBe(true);
    far.close();
    expect((await here).length).toBe(0);
  });

  test("give lent bytes back", async () => {
    using ends = await pair();
    const { near, far } = ends;
    void received(near);
    const there = received(far);
    const lent = new Uint8Array(500_000);
    for (const value of [1, 2, 3]) {
      lent.fill(value);
      if (!near.writeLent(lent)) await near.drained();
    }
    near.close();
    const all = await there;
    expect([all.length, all[0], all[500_000], all[1_499_999]]).toEqual([1_500_000, 1, 2, 3]);
    far.close();
  });

  test("say why they can't be connected", async () => {
    const error = await factory.connect({ path: join(folder, "nobody") }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ENOENT" });
  });
});
