import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { HullError } from "@hull/errors";
import fc from "fast-check";
import { BoltDatabase, type Bucket } from "./index.ts";

/** Databases that containerd 1.6.20 and 2.1.9 wrote. */
const [older, newer] = ["containerd-1.6-meta.db.gz", "containerd-2.1-meta.db.gz"].map(
  (name) => new Uint8Array(gunzipSync(readFileSync(join(import.meta.dir, "..", "testdata", name)))),
) as [Uint8Array, Uint8Array];

/** Reads all there is. @returns the number of pairs */
function readAll(bucket: Bucket): number {
  const below = [...bucket.buckets()].map(([, inner]) => readAll(inner));
  return below.reduce((sum, count) => sum + count, [...bucket.values()].length);
}

describe("a bbolt database", () => {
  test("gives the buckets and values that containerd wrote", () => {
    const images = BoltDatabase.of(older).root.bucket("v1")?.bucket("default")?.bucket("images");
    expect([...(images?.buckets() ?? [])].map(([name]) => name)).toEqual([
      "docker.io/library/busybox:latest",
      "docker.io/x/y:1",
    ]);
    const target = images?.bucket("docker.io/x/y:1")?.bucket("target");
    expect(new TextDecoder().decode(target?.value("mediatype"))).toBe("application/vnd.oci.image.manifest.v1+json");
  });

  test("is read across the pages of a tree", () => {
    const images = BoltDatabase.of(newer).root.bucket("v1")?.bucket("default")?.bucket("images");
    const names = [...(images?.buckets() ?? [])].map(([name]) => name).filter((name) => name.includes("/many/"));
    expect(names).toHaveLength(60);
    expect(names).toEqual([...names].sort());
  });

  test("has neither what isn't there nor a value where a bucket is", () => {
    const { root } = BoltDatabase.of(older);
    expect(root.bucket("v2")).toBeUndefined();
    expect(root.value("v1")).toBeUndefined();
    expect(root.bucket("v1")?.bucket("version")).toBeUndefined();
  });

  test("is read by its older meta page when the newer one is damaged", () => {
    const whole = readAll(BoltDatabase.of(older).root);
    for (const page of [0, 4096]) {
      const copy = older.slice();
      copy.fill(0, page, page + 64);
      expect(readAll(BoltDatabase.of(copy).root)).toBeGreaterThan(whole / 2);
    }
  });

  test.each([0, 100, 8192])("of %d bytes is none", (length) => {
    const file = new Uint8Array(length).fill(7);
    expect(() => BoltDatabase.of(file)).toThrow("it has no meta page, or is no bbolt database");
  });

  test("that is damaged anywhere is read or refused, and never leads in circles", () => {
    const damage = fc.array(fc.tuple(fc.nat(newer.length - 1), fc.nat(255)), { minLength: 1, maxLength: 40 });
    const cut = fc.option(fc.nat(newer.length));
    fc.assert(
      fc.property(fc.constantFrom(older, newer), damage, cut, (file, changes, end) => {
        const copy = file.slice(0, end ?? file.length);
        for (const [at, byte] of changes) if (at < copy.length) copy[at] = byte;
        try {
          readAll(BoltDatabase.of(copy).root);
        } catch (error) {
          expect(error).toBeInstanceOf(HullError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
