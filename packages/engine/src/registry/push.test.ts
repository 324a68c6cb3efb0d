import { describe, expect, test } from "bun:test";
import { type Descriptor, digestOf, mediaTypes } from "@hull/oci";
import { type Answer, noise, openTestRegistry, type TestRegistry } from "./fixture.ts";
import { defaultHosts, openRegistry } from "./index.ts";

const retry = { attempts: { once: 1, quick: 2, patient: 3 }, pause: 1, maxPause: 2, maxRetryAfter: 10 };
const signal = new AbortController().signal;
const clientOf = () => openRegistry({ hosts: defaultHosts({ plainHttp: true }), retry });

function blobOf(bytes: Uint8Array): Descriptor {
  return { mediaType: mediaTypes.ociLayer, digest: digestOf(bytes), size: bytes.length };
}

function push(registry: TestRegistry, descriptor: Descriptor, bytes: Uint8Array, options = {}) {
  return clientOf().push(`${registry.host}/a/b:1`, descriptor, {
    read: async (offset, size) => bytes.subarray(offset, offset + size),
    signal,
    ...options,
  });
}

/** The requests, without what differs from run to run. */
const lines = ({ requests, host }: TestRegistry): string[] =>
  requests.map(({ line }) => line.replaceAll(host, "HOST").replace(/sha256%3A\w+|sha256:\w+/g, "DIGEST"));

/** Answers uploads as a registry does: `headers` of the first answer, and 201 for what ends one. */
function uploads(answers: Readonly<Record<string, Answer>>): NonNullable<TestRegistry["handle"]> {
  return (line) => Object.entries(answers).find(([start]) => line.startsWith(start))?.[1];
}

describe("push", () => {
  test("a blob that fits goes by one PUT, to where the registry says, with what it said", async () => {
    await using registry = await openTestRegistry();
    registry.handle = uploads({
      "POST /v2/a/b/blobs/uploads/": { status: 202, headers: { location: "/somewhere?state=1" } },
      "PUT /somewhere": { status: 201 },
    });
    const bytes = noise(1000);
    expect(await push(registry, blobOf(bytes), bytes)).toBe("pushed");
    expect(lines(registry)).toEqual([
      "HEAD /v2/a/b/blobs/DIGEST",
      "POST /v2/a/b/blobs/uploads/",
      "PUT /somewhere?state=1&digest=DIGEST",
    ]);
  });

  test("what is there isn't sent; what another repository has is mounted, or sent if that is refused", async () => {
    await using registry = await openTestRegistry();
    const bytes = noise(10);
    const descriptor = registry.blob(bytes, mediaTypes.ociLayer);
    expect(await push(registry, descriptor, bytes)).toBe("exists");
    registry.blobs.clear();
    registry.handle = uploads({ "POST /v2/a/b/blobs/uploads/?mount=": { status: 201 } });
    expect(await push(registry, descriptor, bytes, { mountFrom: "a/c" })).toBe("mounted");
    expect(lines(registry).at(-1)).toBe("POST /v2/a/b/blobs/uploads/?mount=DIGEST&from=a%2Fc");
    registry.handle = uploads({
      "POST /v2/a/b/blobs/uploads/?mount=": { status: 403 },
      "POST /v2/a/b/blobs/uploads/": { status: 202, headers: { location: "/u" } },
      "PUT /u": { status: 201 },
    });
    expect(await push(registry, descriptor, bytes, { mountFrom: "a/c" })).toBe("pushed");
  });

  test("an upload that the registry forgot is begun anew; a refusal is final", async () => {
    await using registry = await openTestRegistry();
    const bytes = noise(10);
    let tries = 0;
    registry.handle = (line) => {
      if (line.startsWith("POST ")) return { status: 202, headers: { location: `/u${++tries}` } };
      return line.startsWith("PUT ") ? { status: tries < 3 ? 404 : 201 } : undefined;
    };
    expect(await push(registry, blobOf(bytes), bytes)).toBe("pushed");
    expect(tries).toBe(3);
    registry.handle = uploads({
      "POST /": {
        status: 403,
        headers: { "content-type": "application/json" },
        body: '{"errors":[{"code":"DENIED","message":"no"}]}',
      },
    });
    await expect(push(registry, blobOf(bytes), bytes)).rejects.toThrow("403: DENIED: no");
  });

  test("a manifest goes by its tag if that is the one it names, else by its digest", async () => {
    await using registry = await openTestRegistry();
    registry.handle = uploads({ "PUT ": { status: 201 } });
    const bytes = new TextEncoder().encode('{"schemaVersion":2,"config":{"digest":"sha256:0","size":1}}');
    const descriptor = { ...blobOf(bytes), mediaType: mediaTypes.ociManifest };
    const valid = new TextEncoder().encode(
      JSON.stringify({ schemaVersion: 2, config: { ...blobOf(bytes), mediaType: mediaTypes.ociConfig }, layers: [] }),
    );
    const manifest = { ...blobOf(valid), mediaType: mediaTypes.ociManifest };
    expect(await push(registry, manifest, valid, { tagged: true })).toBe("pushed");
    expect(await push(registry, manifest, valid)).toBe("pushed");
    expect(lines(registry).filter((line) => line.startsWith("PUT"))).toEqual([
      "PUT /v2/a/b/manifests/1",
      "PUT /v2/a/b/manifests/DIGEST",
    ]);
    expect(registry.requests.at(-1)?.headers["content-type"]).toBe(mediaTypes.ociManifest);
    await expect(push(registry, descriptor, bytes)).rejects.toThrow("digest");
  });

  test("what refers to another manifest is listed under a tag where the registry keeps no list", async () => {
    await using registry = await openTestRegistry();
    const subject = registry.manifest("1", { schemaVersion: 2, config: {}, layers: [] });
    const signature = new TextEncoder().encode(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        artifactType: "application/vnd.example.signature",
        config: { ...blobOf(noise(2)), mediaType: mediaTypes.ociEmpty },
        layers: [],
        subject,
      }),
    );
    const descriptor = { ...blobOf(signature), mediaType: mediaTypes.ociManifest };
    registry.handle = (line, headers, body) => {
      const [, name] = /^PUT \/v2\/a\/b\/manifests\/(\S+)/.exec(line) ?? [];
      if (name === undefined) return undefined;
      registry.manifests.set(name, { mediaType: headers["content-type"] ?? "", bytes: Buffer.from(body) });
      return { status: 201 };
    };
    const find = (artifactType?: string) =>
      clientOf().referrers(`${registry.host}/a/b:1`, subject.digest, { signal, artifactType });
    expect(await find()).toEqual([]);
    expect(await push(registry, descriptor, signature)).toBe("pushed");
    const found = { ...descriptor, artifactType: "application/vnd.example.signature" };
    expect(await find()).toEqual([found]);
    expect(await find("application/vnd.example.signature")).toEqual([found]);
    expect(await find("application/vnd.example.other")).toEqual([]);
    expect(registry.manifests.has(subject.digest.replace(":", "-"))).toBe(true);
  });
});
