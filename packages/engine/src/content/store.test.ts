import { describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContentCreate } from "@hull/api/gen/containerd/events/content";
import { contextFor } from "../context.ts";
import { LocalContentFixture } from "./fixture.ts";
import { contentSuite, expectCode } from "./suite.ts";

contentSuite("the local content store", async () => new LocalContentFixture());

const sha256 = (bytes: Uint8Array | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

const ctx = contextFor("default");
const abc = Buffer.from("abc");

async function put(fixture: LocalContentFixture, bytes: Uint8Array, context = ctx): Promise<string> {
  await using writer = await fixture.store.writer(context, `put-${sha256(bytes)}`);
  await writer.write(bytes);
  return (await writer.commit()).digest;
}

describe("the local content store on disk", () => {
  test("has containerd's layout", async () => {
    await using fixture = new LocalContentFixture();
    await using writer = await fixture.store.writer(ctx, "layer-1", { total: 7 });
    const ingest = join(fixture.root, "ingest", sha256("default/1/layer-1").slice(7));
    expect(readdirSync(ingest).sort()).toEqual(["data", "ref", "startedat", "total", "updatedat"]);
    await writer.write(abc);
    const { digest } = await writer.commit();
    const blob = join(fixture.root, "blobs/sha256", digest.slice(7));
    expect(await fixture.store.path(ctx, digest)).toBe(blob);
    expect(statSync(blob).mode & 0o777).toBe(0o444);
    expect(existsSync(ingest)).toBe(false);
  });

  test("publishes what it makes and deletes", async () => {
    await using fixture = new LocalContentFixture();
    const digest = await put(fixture, abc);
    await fixture.store.delete(ctx, digest);
    expect(fixture.published.map(({ topic }) => topic)).toEqual(["/content/create", "/content/delete"]);
    const created = ContentCreate.decode(fixture.published[0]?.event.value ?? new Uint8Array());
    expect(created).toMatchObject({ digest, size: 3n });
  });

  test("an ingest aborted under its writer can't be committed, and its ref is free at once", async () => {
    await using fixture = new LocalContentFixture();
    await using writer = await fixture.store.writer(ctx, "r");
    await writer.write(abc);
    await fixture.store.abort(ctx, "r");
    await using next = await fixture.store.writer(ctx, "r");
    expect(next.offset).toBe(0);
    await expectCode(writer.commit(), "notFound");
    expect((await next.commit()).size).toBe(0);
  });

  test("a commit that was cut off between its steps is made good by the next", async () => {
    await using fixture = new LocalContentFixture();
    {
      await using writer = await fixture.store.writer(ctx, "r");
      await writer.write(abc);
    }
    // Renamed, but neither recorded nor the rest of the ingest removed.
    renameSync(
      join(fixture.root, "ingest", sha256("default/1/r").slice(7), "data"),
      join(fixture.root, "blobs/sha256", sha256(abc).slice(7)),
    );
    await using writer = await fixture.store.writer(ctx, "r", { expected: sha256(abc) });
    expect(writer.offset).toBe(0);
    await writer.write(abc);
    expect(await writer.commit({ expected: sha256(abc) })).toEqual({ digest: sha256(abc), size: 3 });
    await fixture.store.verify(ctx, sha256(abc));
    expect(readdirSync(join(fixture.root, "ingest"))).toEqual([]);
  });

  test("a damaged blob is found out", async () => {
    await using fixture = new LocalContentFixture();
    const digest = await put(fixture, abc);
    await fixture.store.verify(ctx, digest);
    writeFileSync(await fixture.store.path(ctx, digest), "abd");
    await expectCode(fixture.store.verify(ctx, digest), "dataLoss");
  });

  test("bytes of an ingest that were damaged are found out at commit", async () => {
    await using fixture = new LocalContentFixture();
    {
      await using writer = await fixture.store.writer(ctx, "damaged");
      await writer.write(Buffer.from("abc"));
    }
    writeFileSync(join(fixture.root, "ingest", sha256("default/1/damaged").slice(7), "data"), "abX");
    await using writer = await fixture.store.writer(ctx, "damaged");
    await writer.write(Buffer.from("def"));
    await expectCode(writer.commit({ expected: sha256("abcdef") }), "failedPrecondition");
  });
});

describe("sharing between namespaces", () => {
  const other = contextFor("other");

  test("shared: knowing the digest is enough", async () => {
    await using fixture = new LocalContentFixture();
    const expected = await put(fixture, abc);
    await using writer = await fixture.store.writer(other, "r", { expected, total: 3 });
    expect(writer.offset).toBe(3);
    expect(await fixture.store.status(other, "r")).toMatchObject({ offset: 3, total: 3, expected });
    expect(await writer.commit({ size: 3, expected })).toEqual({ digest: expected, size: 3 });
    expect((await fixture.store.info(other, expected)).size).toBe(3);
  });

  test("shared: a wrong size doesn't open it", async () => {
    await using fixture = new LocalContentFixture();
    const expected = await put(fixture, abc);
    await using writer = await fixture.store.writer(other, "r", { expected, total: 4 });
    expect(writer.offset).toBe(0);
  });

  test("shared: bytes behind it, or from the start, make a blob of their own", async () => {
    await using fixture = new LocalContentFixture();
    const expected = await put(fixture, abc);
    await using longer = await fixture.store.writer(other, "longer", { expected });
    await longer.write(Buffer.from("def"));
    expect((await longer.commit()).digest).toBe(sha256("abcdef"));
    await using anew = await fixture.store.writer(other, "anew", { expected });
    await anew.truncate(0);
    await anew.write(Buffer.from("x"));
    expect((await anew.commit()).digest).toBe(sha256("x"));
  });

  test("shared: the blob stays while a writer stands for it", async () => {
    await using fixture = new LocalContentFixture();
    const expected = await put(fixture, abc);
    await using writer = await fixture.store.writer(other, "r", { expected });
    await fixture.store.delete(ctx, expected);
    expect((await fixture.store.collectGarbage()).blobs).toBe(0);
    await writer.commit();
    await fixture.store.verify(other, expected);
  });

  test("isolated: the bytes have to be brought, unless the owner shares", async () => {
    await using fixture = new LocalContentFixture({ sharing: "isolated" });
    const expected = await put(fixture, abc);
    {
      await using writer = await fixture.store.writer(other, "r", { expected });
      expect(writer.offset).toBe(0);
      await writer.write(abc);
      await writer.commit({ expected });
    }
    await fixture.store.delete(other, expected);
    fixture.metadata.sql
      .prepare("UPDATE namespaces SET labels = ? WHERE name = ?")
      .run(JSON.stringify({ "containerd.io/namespace.shareable": "true" }), "default");
    await using writer = await fixture.store.writer(other, "r2", { expected });
    expect(writer.offset).toBe(3);
  });
});

describe("leases", () => {
  const leased = contextFor("default", { lease: "l" });
  const resources = (fixture: LocalContentFixture) =>
    fixture.metadata.sql
      .prepare("SELECT type, id FROM lease_resources")
      .all()
      .map(({ type, id }) => `${type}/${id}`);

  function withLease(): LocalContentFixture {
    const fixture = new LocalContentFixture();
    fixture.metadata.sql.exec(
      "INSERT INTO namespaces (name) VALUES ('default'); INSERT INTO leases VALUES ('default', 'l', '{}', 0)",
    );
    return fixture;
  }

  test("hold the ingest, then the blob, also one that was there", async () => {
    await using fixture = withLease();
    {
      await using writer = await fixture.store.writer(leased, "r");
      expect(resources(fixture)).toEqual(["ingests/r"]);
      await writer.write(abc);
      await writer.commit();
    }
    expect(resources(fixture)).toEqual([`content/${sha256(abc)}`]);
    fixture.metadata.sql.exec("DELETE FROM lease_resources");
    await expectCode(fixture.store.writer(leased, "r", { expected: sha256(abc) }), "alreadyExists");
    expect(resources(fixture)).toEqual([`content/${sha256(abc)}`]);
  });

  test("only an ingest without one expires", async () => {
    await using fixture = withLease();
    await (await fixture.store.writer(leased, "a")).close();
    await (await fixture.store.writer(ctx, "b")).close();
    const rows = fixture.metadata.sql.prepare("SELECT ref, expires_at FROM ingests ORDER BY ref").all();
    expect(rows[0]).toMatchObject({ ref: "a", expires_at: null });
    expect(Number(rows[1]?.expires_at) / 1e6 - Date.now()).toBeGreaterThan(23 * 3600e3);
  });

  test("an unknown lease is refused and changes nothing", async () => {
    await using fixture = new LocalContentFixture();
    await expectCode(fixture.store.writer(leased, "r"), "notFound");
    expect(await fixture.store.listStatuses(ctx)).toEqual([]);
  });
});

describe("collecting garbage", () => {
  test("removes what nobody has a record of, and only that", async () => {
    await using fixture = new LocalContentFixture();
    const kept = await put(fixture, abc);
    const dropped = await put(fixture, Buffer.from("dropped"));
    await put(fixture, Buffer.from("dropped"), contextFor("other"));
    await (await fixture.store.writer(ctx, "kept")).close();
    mkdirSync(join(fixture.root, "ingest", "orphan"));
    await fixture.store.delete(ctx, dropped);
    expect(await fixture.store.collectGarbage()).toEqual({ blobs: 0, ingests: 1 });
    await fixture.store.delete(contextFor("other"), dropped);
    expect(await fixture.store.collectGarbage()).toEqual({ blobs: 1, ingests: 0 });
    await fixture.store.verify(ctx, kept);
    expect((await fixture.store.status(ctx, "kept")).offset).toBe(0);
  });

  test("never takes what is being committed", async () => {
    await using fixture = new LocalContentFixture();
    let committing = true;
    const collecting = (async () => {
      while (committing) await fixture.store.collectGarbage();
    })();
    const digests = await Promise.all(Array.from({ length: 100 }, () => put(fixture, randomBytes(1000))));
    committing = false;
    await collecting;
    for (const digest of digests) await fixture.store.verify(ctx, digest);
  });

  test("leaves an ingest alone whose record expired while it is written", async () => {
    await using fixture = new LocalContentFixture();
    await using writer = await fixture.store.writer(ctx, "slow");
    await writer.write(abc);
    fixture.metadata.sql.exec("DELETE FROM ingests");
    await fixture.store.collectGarbage();
    expect((await writer.commit()).digest).toBe(sha256(abc));
  });
});
