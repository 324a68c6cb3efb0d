import { describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { type Code, HullError } from "@hull/errors";
import fc from "fast-check";
import { type Context, contextFor } from "../context.ts";
import type { ContentInfo, ContentStore } from "./index.ts";

/** A store to test, and how to take it down. */
export interface ContentFixture extends AsyncDisposable {
  readonly store: ContentStore;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

const digestOf = (bytes: Uint8Array, algorithm = "sha256") =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    expect(chunk.length).toBeLessThanOrEqual(1 << 20);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

async function all(infos: AsyncIterable<ContentInfo>): Promise<ContentInfo[]> {
  return Array.fromAsync(infos);
}

/** Fails unless `work` ends with this class of error. Gives its text. */
export async function expectCode(work: Promise<unknown>, code: Code): Promise<string> {
  const outcome = await work.then(
    () => "no error",
    (error: unknown) => error,
  );
  if (!(outcome instanceof HullError) || outcome.code !== code) {
    throw new Error(`expected ${code}, got ${String(outcome)}`, { cause: outcome });
  }
  return outcome.message;
}

/** What every content store does, local or behind a socket. */
export function contentSuite(name: string, openFixture: () => Promise<ContentFixture>): void {
  const check = (what: string, body: (store: ContentStore, ctx: Context) => Promise<void>) =>
    test(what, async () => {
      await using fixture = await openFixture();
      await body(fixture.store, contextFor(`t-${randomBytes(4).toString("hex")}`));
    });

  async function put(store: ContentStore, ctx: Context, bytes: Uint8Array, labels = {}): Promise<string> {
    const expected = digestOf(bytes);
    await using writer = await store.writer(ctx, `put-${expected}`, { total: bytes.length, expected });
    await writer.write(bytes);
    await writer.commit({ size: bytes.length, expected, labels });
    return expected;
  }

  describe(name, () => {
    check("a blob is written, described, read and deleted", async (store, ctx) => {
      const bytes = randomBytes(3_000_001);
      const digest = await put(store, ctx, bytes, { a: "b" });
      const info = await store.info(ctx, digest);
      expect(info).toMatchObject({ digest, size: bytes.length, labels: { a: "b" } });
      expect(info.createdAt).toBeGreaterThan(0n);
      expect((await collect(store.read(ctx, digest))).equals(bytes)).toBe(true);
      expect(await all(store.walk(ctx))).toEqual([info]);
      await store.delete(ctx, digest);
      await expectCode(store.info(ctx, digest), "notFound");
      await expectCode(store.delete(ctx, digest), "notFound");
      await expectCode(collect(store.read(ctx, digest)), "notFound");
      expect(await all(store.walk(ctx))).toEqual([]);
    });

    check("an empty blob is a blob", async (store, ctx) => {
      await using writer = await store.writer(ctx, "empty");
      const { digest, size } = await writer.commit();
      expect(digest).toBe(digestOf(new Uint8Array()));
      expect(size).toBe(0);
      expect(await collect(store.read(ctx, digest))).toHaveLength(0);
    });

    check("parts are read as asked, and cut at the end", async (store, ctx) => {
      const digest = await put(store, ctx, bytesOf("0123456789"));
      const read = async (range: { offset?: number; size?: number }) =>
        (await collect(store.read(ctx, digest, range))).toString();
      expect(await read({ offset: 3 })).toBe("3456789");
      expect(await read({ offset: 3, size: 2 })).toBe("34");
      expect(await read({ offset: 8, size: 100 })).toBe("89");
      expect(await read({ offset: 10 })).toBe("");
      expect(await read({ size: 0 })).toBe("0123456789");
      await expectCode(read({ offset: 11 }), "outOfRange");
    });

    check("any pieces make the same blob", async (store, ctx) => {
      const pieces = fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 8 });
      let number = 0;
      await fc.assert(
        fc.asyncProperty(pieces, async (written) => {
          const whole = Buffer.concat(written);
          await using writer = await store.writer(ctx, `pieces-${number++}`);
          for (const piece of written) {
            await writer.write(piece);
            expect(writer.status().offset).toBe(writer.offset);
          }
          expect(writer.digest()).toBe(digestOf(whole));
          const { digest } = await writer.commit({ size: whole.length }).catch((error: unknown) => {
            if (error instanceof HullError && error.code === "alreadyExists") return { digest: digestOf(whole) };
            throw error;
          });
          expect((await collect(store.read(ctx, digest))).equals(whole)).toBe(true);
        }),
        { numRuns: 25 },
      );
    });

    check("a closed ingest is resumed where it was", async (store, ctx) => {
      {
        await using writer = await store.writer(ctx, "resumed", { total: 6 });
        await writer.write(bytesOf("abc"));
      }
      expect(await store.status(ctx, "resumed")).toMatchObject({ ref: "resumed", offset: 3, total: 6 });
      expect((await store.listStatuses(ctx)).map(({ ref }) => ref)).toEqual(["resumed"]);
      await using writer = await store.writer(ctx, "resumed");
      expect(writer.offset).toBe(3);
      expect(writer.digest()).toBe(digestOf(bytesOf("abc")));
      await writer.write(bytesOf("def"));
      await writer.commit({ size: 6, expected: digestOf(bytesOf("abcdef")) });
      await expectCode(store.status(ctx, "resumed"), "notFound");
    });

    check("an ingest is truncated to nothing, and to nothing else", async (store, ctx) => {
      await using writer = await store.writer(ctx, "truncated");
      await writer.write(bytesOf("wrong"));
      await expectCode(writer.truncate(2), "unimplemented");
      await writer.truncate(0);
      expect(writer.offset).toBe(0);
      await writer.write(bytesOf("right"));
      expect((await writer.commit()).digest).toBe(digestOf(bytesOf("right")));
    });

    check("one writer a ref", async (store, ctx) => {
      const writer = await store.writer(ctx, "locked");
      expect(await expectCode(store.writer(ctx, "locked"), "unavailable")).toContain("locked");
      await using _other = await store.writer(contextFor(`${ctx.namespace}-2`), "locked");
      await writer.close();
      await writer.close();
      await using _again = await store.writer(ctx, "locked");
    });

    check("of many who open a ref at once, one gets it", async (store, ctx) => {
      const opened = await Promise.allSettled(Array.from({ length: 10 }, () => store.writer(ctx, "race")));
      const winners = opened.filter((one) => one.status === "fulfilled");
      expect(winners).toHaveLength(1);
      for (const { value } of winners) await value.close();
    });

    check("a wrong size or digest is refused, and the ingest stays", async (store, ctx) => {
      {
        await using writer = await store.writer(ctx, "checked");
        await writer.write(bytesOf("abc"));
        expect(await expectCode(writer.commit({ size: 5 }), "failedPrecondition")).toContain("3 != 5");
      }
      {
        await using writer = await store.writer(ctx, "checked");
        const text = await expectCode(writer.commit({ expected: digestOf(bytesOf("x")) }), "failedPrecondition");
        expect(text).toContain(
          `unexpected commit digest ${digestOf(bytesOf("abc"))}, expected ${digestOf(bytesOf("x"))}`,
        );
      }
      expect(await store.status(ctx, "checked")).toMatchObject({ offset: 3 });
      await expectCode(store.info(ctx, digestOf(bytesOf("abc"))), "notFound");
    });

    check("a blob that exists is not written again", async (store, ctx) => {
      const expected = await put(store, ctx, bytesOf("twice"));
      await expectCode(store.writer(ctx, "again", { expected }), "alreadyExists");
      await using writer = await store.writer(ctx, "again");
      await writer.write(bytesOf("twice"));
      await expectCode(writer.commit(), "alreadyExists");
      await expectCode(store.status(ctx, "again"), "notFound");
    });

    check("an aborted ingest is gone", async (store, ctx) => {
      await (await store.writer(ctx, "aborted")).close();
      await store.abort(ctx, "aborted");
      await expectCode(store.status(ctx, "aborted"), "notFound");
      await expectCode(store.abort(ctx, "aborted"), "notFound");
      await using writer = await store.writer(ctx, "aborted");
      expect(writer.offset).toBe(0);
    });

    check("namespaces don't see each other's blobs and ingests", async (store, ctx) => {
      const other = contextFor(`${ctx.namespace}-other`);
      const digest = await put(store, ctx, bytesOf("private"));
      await (await store.writer(ctx, "mine")).close();
      await expectCode(store.info(other, digest), "notFound");
      expect(await all(store.walk(other))).toEqual([]);
      expect(await store.listStatuses(other)).toEqual([]);
    });

    check("labels are replaced, or changed one by one", async (store, ctx) => {
      const digest = await put(store, ctx, bytesOf("labelled"), { a: "1", b: "2" });
      const before = await store.info(ctx, digest);
      const labels = async (change: Record<string, string>, paths?: string[]) =>
        (await store.update(ctx, digest, change, paths)).labels;
      expect(await labels({ a: "3", "x.y/z": "4" }, ["labels.x.y/z"])).toEqual({ a: "1", b: "2", "x.y/z": "4" });
      expect(await labels({}, ["labels.b"])).toEqual({ a: "1", "x.y/z": "4" });
      expect(await labels({ only: "this" }, ["labels"])).toEqual({ only: "this" });
      expect(await labels({ n: "1" })).toEqual({ n: "1" });
      expect((await store.info(ctx, digest)).updatedAt).toBeGreaterThanOrEqual(before.updatedAt);
      await expectCode(store.update(ctx, digest, {}, ["size"]), "invalidArgument");
      await expectCode(store.update(ctx, digest, { a: "x".repeat(5000) }), "invalidArgument");
      await expectCode(store.update(ctx, digestOf(bytesOf("none")), {}), "notFound");
    });

    check("lists are filtered", async (store, ctx) => {
      const one = await put(store, ctx, bytesOf("one"), { kind: "a" });
      await put(store, ctx, bytesOf("two"), { kind: "b" });
      for (const ref of ["r-1", "r-2"]) await (await store.writer(ctx, ref)).close();
      const digests = async (...filters: string[]) => (await all(store.walk(ctx, filters))).map(({ digest }) => digest);
      expect(await digests(`digest==${one}`)).toEqual([one]);
      expect(await digests('labels."kind"==a')).toEqual([one]);
      expect(await digests("labels.kind!=b")).toEqual([one]);
      expect(await digests("labels.kind==a", "labels.kind==b")).toHaveLength(2);
      await expectCode(digests("digest=="), "invalidArgument");
      expect((await store.listStatuses(ctx, ["ref~=-2$"])).map(({ ref }) => ref)).toEqual(["r-2"]);
    });

    check("other digests than sha256", async (store, ctx) => {
      for (const algorithm of ["sha384", "sha512"]) {
        const bytes = bytesOf(algorithm);
        const expected = digestOf(bytes, algorithm);
        await using early = await store.writer(ctx, `${algorithm}-early`, { expected });
        await early.write(bytes);
        expect((await early.commit({ expected })).digest).toBe(expected);
        const late = bytesOf(`${algorithm} at commit`);
        await using writer = await store.writer(ctx, `${algorithm}-late`);
        await writer.write(late);
        await writer.commit({ expected: digestOf(late, algorithm) });
        expect((await collect(store.read(ctx, digestOf(late, algorithm)))).equals(late)).toBe(true);
      }
    });

    check("malformed input is refused", async (store, ctx) => {
      for (const digest of [
        "",
        "foo",
        "sha256:",
        "sha256:../../etc/passwd",
        `md5:${"0".repeat(32)}`,
        `sha256:${"G".repeat(64)}`,
      ]) {
        await expectCode(store.info(ctx, digest), "invalidArgument");
      }
      await expectCode(store.writer(ctx, ""), "invalidArgument");
      // No bytes have such a digest, which comes out at the end.
      await using writer = await store.writer(ctx, "r", { expected: "sha256:zz" });
      await expectCode(writer.commit({ expected: "sha256:zz" }), "failedPrecondition");
      await expectCode(store.info(contextFor(""), digestOf(bytesOf(""))), "failedPrecondition");
    });

    check("a finished writer refuses", async (store, ctx) => {
      const writer = await store.writer(ctx, "finished");
      await writer.commit();
      await expectCode(writer.write(bytesOf("late")), "failedPrecondition");
      await expectCode(writer.commit(), "failedPrecondition");
    });
  });
}
