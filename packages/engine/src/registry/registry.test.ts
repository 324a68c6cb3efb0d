import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { isCode } from "@hull/errors";
import { digestOf, mediaTypes } from "@hull/oci";
import fc from "fast-check";
import { parseChallenges } from "./challenge.ts";
import { type Answer, type Fault, noise, openTestRegistry, type TestRegistry } from "./fixture.ts";
import { defaultHosts, openRegistry, type RegistryOptions } from "./index.ts";
import { retryAfter } from "./retry.ts";

const { signal } = new AbortController();
const retry = { attempts: { once: 1, quick: 2, patient: 3 }, pause: 1, maxPause: 5, maxRetryAfter: 1000 };

const open = (options: RegistryOptions = {}) =>
  openRegistry({ hosts: defaultHosts({ plainHttp: true }), retry, stallTimeout: 300, ...options });

async function read(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const lines = (registry: TestRegistry) => registry.requests.map(({ line }) => line);

describe("resolve", () => {
  test("by tag and by digest, with one HEAD", async () => {
    await using registry = await openTestRegistry();
    const descriptor = registry.manifest("1", { schemaVersion: 2 });
    const ref = `${registry.host}/a/b`;
    expect(await open().resolve(`${ref}:1`, signal)).toEqual({ name: `${ref}:1`, descriptor });
    expect((await open().resolve(`${ref}@${descriptor.digest}`, signal)).descriptor).toEqual(descriptor);
    expect(lines(registry)).toEqual(["HEAD /v2/a/b/manifests/1", `HEAD /v2/a/b/manifests/${descriptor.digest}`]);
    expect(registry.requests[0]?.headers.accept).toContain(mediaTypes.ociIndex);
  });

  test("a registry without HEAD, or without the digest's header, is read", async () => {
    await using registry = await openTestRegistry();
    const descriptor = registry.manifest("1", { schemaVersion: 2 });
    registry.faults.push({ when: /^HEAD/, status: 405 });
    expect((await open().resolve(`${registry.host}/a:1`, signal)).descriptor).toEqual(descriptor);
    registry.faults.push({ when: /manifests/, headers: { "docker-content-digest": "" }, times: 2 });
    expect((await open().resolve(`${registry.host}/a:1`, signal)).descriptor).toEqual(descriptor);
  });

  test("a missing image, a wrong digest, an old or a huge manifest", async () => {
    await using registry = await openTestRegistry();
    registry.manifest("1", { schemaVersion: 2 });
    const ref = `${registry.host}/a`;
    await expect(open().resolve(`${ref}:none`, signal)).rejects.toThrow("was answered with 404");
    const fault = (headers: Record<string, string>): Fault => ({ when: /manifests/, headers });
    registry.faults.push(fault({ "docker-content-digest": digestOf("x") }));
    registry.manifests.set(digestOf("y"), { mediaType: mediaTypes.ociManifest, bytes: new Uint8Array(1) });
    await expect(open().resolve(`${ref}@${digestOf("y")}`, signal)).rejects.toThrow("is answered with the digest");
    registry.faults.push(fault({ "content-type": mediaTypes.dockerSchema1Signed }));
    await expect(open().resolve(`${ref}:1`, signal)).rejects.toThrow("schema 1");
    registry.faults.push(fault({ "content-length": "9999999" }));
    await expect(open().resolve(`${ref}:1`, signal)).rejects.toThrow("at most 4393216");
    await expect(open().resolve("alpine", signal)).rejects.toThrow("not fully qualified");
  });

  test("a digest that isn't a manifest's is a blob's", async () => {
    await using registry = await openTestRegistry();
    const blob = registry.blob(noise(10));
    const { descriptor } = await open().resolve(`${registry.host}/a@${blob.digest}`, signal);
    expect(descriptor).toEqual({ ...blob, mediaType: "application/octet-stream" });
  });

  test("mirrors come first, are told the registry, and the most telling error is given", async () => {
    await using mirror = await openTestRegistry();
    await using registry = await openTestRegistry();
    const descriptor = registry.manifest("1", { schemaVersion: 2 });
    const host = (of: TestRegistry, capabilities: ("pull" | "resolve")[]) =>
      ({ scheme: "http", host: of.host, path: "/v2", capabilities }) as const;
    const client = open({ hosts: () => [host(mirror, ["pull", "resolve"]), host(registry, ["pull", "resolve"])] });
    expect((await client.resolve("docker.io/library/a:1", signal)).descriptor).toEqual(descriptor);
    expect(lines(mirror)).toEqual(["HEAD /v2/library/a/manifests/1?ns=docker.io"]);
    mirror.faults.push({ when: /./, status: 403, times: 9 });
    await expect(client.resolve("docker.io/library/a:none", signal)).rejects.toMatchObject({
      code: "permissionDenied",
    });
    await expect(open({ hosts: () => [host(mirror, ["pull"])] }).resolve("x.y/a:1", signal)).rejects.toThrow(
      "no host is set up",
    );
  });

  test("nobody there", async () => {
    const registry = await openTestRegistry();
    await registry[Symbol.asyncDispose]();
    await expect(open().resolve(`${registry.host}/a:1`, signal)).rejects.toMatchObject({ code: "unavailable" });
  });

  test("this machine is spoken to in plain text if it can't do TLS", async () => {
    await using registry = await openTestRegistry();
    const descriptor = registry.manifest("1", { schemaVersion: 2 });
    const client = open({ hosts: defaultHosts() });
    for (let times = 0; times < 2; times++)
      expect((await client.resolve(`${registry.host}/a:1`, signal)).descriptor).toEqual(descriptor);
  });
});

describe("retries", () => {
  test("after 429, 503 and cut answers; not after other refusals", async () => {
    await using registry = await openTestRegistry();
    registry.manifest("1", { schemaVersion: 2 });
    for (const status of [429, 503]) {
      registry.faults.push({ when: /^HEAD/, status, headers: { "retry-after": "0" } });
      await open().resolve(`${registry.host}/a:1`, signal);
    }
    expect(lines(registry)).toHaveLength(4);
    registry.faults.push({ when: /^HEAD/, status: 403, times: 9 });
    await expect(open().resolve(`${registry.host}/a:1`, signal)).rejects.toMatchObject({ code: "permissionDenied" });
    expect(lines(registry)).toHaveLength(5);
  });

  test("a server that asks for too long a pause isn't waited for", async () => {
    await using registry = await openTestRegistry();
    registry.faults.push({ when: /./, status: 429, headers: { "retry-after": "3600" }, times: 9 });
    await expect(open().resolve(`${registry.host}/a:1`, signal)).rejects.toMatchObject({ code: "unavailable" });
    expect(lines(registry)).toHaveLength(1);
  });

  test("Retry-After in seconds and as a date", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(retryAfter("3", now)).toBe(3000);
    expect(retryAfter("Thu, 01 Jan 2026 00:00:05 GMT", now)).toBe(5000);
    expect(retryAfter("Thu, 01 Jan 2025 00:00:05 GMT", now)).toBe(0);
    expect(retryAfter("soon", now)).toBeUndefined();
    expect(retryAfter(null, now)).toBeUndefined();
  });

  test("an abort ends a pause at once", async () => {
    await using registry = await openTestRegistry();
    registry.faults.push({ when: /./, status: 503, times: 9 });
    const controller = new AbortController();
    const slow = { ...retry, pause: 60_000, maxPause: 60_000 };
    const pending = open({ retry: slow }).resolve(`${registry.host}/a:1`, controller.signal);
    setTimeout(() => controller.abort(), 50);
    await expect(pending).rejects.toThrow();
  });
});

describe("fetch", () => {
  const size = 300_000;
  const fetchAll = async (registry: TestRegistry, bytes: Uint8Array, options: { offset?: number } = {}) =>
    read(await open().fetch(`${registry.host}/a:1`, registry.blob(bytes), { ...options, signal }));

  test("whole, and from an offset", async () => {
    await using registry = await openTestRegistry();
    const bytes = noise(size);
    expect(Buffer.compare(await fetchAll(registry, bytes), bytes)).toBe(0);
    expect(Buffer.compare(await fetchAll(registry, bytes, { offset: 1234 }), bytes.subarray(1234))).toBe(0);
    expect(lines(registry)[1]).toEndWith("bytes=1234-");
    expect(await fetchAll(registry, bytes, { offset: size })).toHaveLength(0);
    expect(lines(registry)).toHaveLength(2);
  });

  test("goes on after cut connections and stalls, with no byte lost or doubled", async () => {
    await using registry = await openTestRegistry();
    const bytes = noise(size);
    registry.faults.push(
      { when: /blobs/, cutAfter: 100_000 },
      { when: /blobs/, cutAfter: 1 },
      { when: /blobs/, stallAfter: 5000 },
    );
    expect(Buffer.compare(await fetchAll(registry, bytes), bytes)).toBe(0);
    expect(lines(registry)).toHaveLength(4);
  });

  test("wherever a connection breaks and whether or not ranges are known", async () => {
    await using registry = await openTestRegistry();
    const bytes = noise(5000);
    const fault = fc.record({ cutAfter: fc.nat(5000), ignoreRange: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 4 }), fc.nat(4999), async (faults, offset) => {
        registry.faults.splice(0, 99, ...faults.map((one) => ({ when: /blobs/, ...one })));
        expect(Buffer.compare(await fetchAll(registry, bytes, { offset }), bytes.subarray(offset))).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test("a blob that is too long, and one that never comes whole", async () => {
    await using registry = await openTestRegistry();
    const descriptor = registry.blob(noise(1000));
    const short = { ...descriptor, size: 999 };
    await expect(open().fetch(`${registry.host}/a:1`, short, { signal }).then(read)).rejects.toThrow(
      "longer than its 999 bytes",
    );
    const long = { ...descriptor, size: 1001 };
    await expect(open().fetch(`${registry.host}/a:1`, long, { signal }).then(read)).rejects.toThrow(
      "after 1000 of 1001",
    );
    await expect(
      open().fetch(`${registry.host}/a:1`, { ...descriptor, digest: digestOf("none") }, { signal }),
    ).rejects.toThrow("BLOB_UNKNOWN");
  });

  test("an encoding for the way is undone, one that is the layer's own is left", async () => {
    await using registry = await openTestRegistry();
    const plain = noise(20_000);
    const packed = gzipSync(plain);
    registry.faults.push({ when: /blobs/, headers: { "content-encoding": "gzip" }, body: packed });
    expect(Buffer.compare(await fetchAll(registry, plain), plain)).toBe(0);
    registry.faults.push({ when: /blobs/, headers: { "content-encoding": "gzip" } });
    expect(Buffer.compare(await fetchAll(registry, packed), packed)).toBe(0);
  });

  test("an abort ends it in the middle", async () => {
    await using registry = await openTestRegistry();
    const descriptor = registry.blob(noise(size));
    registry.faults.push({ when: /blobs/, stallAfter: 1000 });
    const controller = new AbortController();
    const body = await open({ stallTimeout: 60_000 }).fetch(`${registry.host}/a:1`, descriptor, {
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 50);
    await expect(read(body)).rejects.toMatchObject({ code: "canceled" });
  });
});

describe("redirects", () => {
  test("are followed to another host without the first one's token or headers", async () => {
    await using storage = await openTestRegistry();
    await using registry = await openTestRegistry();
    const bytes = noise(50_000);
    const descriptor = registry.blob(bytes);
    storage.blob(bytes);
    registry.handle = (line, headers): Answer | undefined => {
      if (headers.authorization === undefined)
        return { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } };
      const location = `http://${storage.host}/v2/x/blobs/${descriptor.digest}?signature=s`;
      return line.includes("/blobs/") ? { status: 307, headers: { location } } : undefined;
    };
    const client = open({ credentials: () => ({ username: "u", secret: "p" }), headers: { "x-own": "1" } });
    const got = await read(await client.fetch(`${registry.host}/a:1`, descriptor, { offset: 100, signal }));
    expect(Buffer.compare(got, bytes.subarray(100))).toBe(0);
    expect(storage.requests).toHaveLength(1);
    for (const { headers } of storage.requests) {
      expect(headers.authorization).toBeUndefined();
      expect(headers["x-own"]).toBeUndefined();
    }
    expect(storage.requests[0]?.headers.range).toBe("bytes=100-");
  });

  test("end after ten, and their queries stay out of errors", async () => {
    await using registry = await openTestRegistry();
    registry.handle = () => ({ status: 302, headers: { location: "/v2/again?secret=1" } });
    const error = await open()
      .resolve(`${registry.host}/a:1`, signal)
      .catch((thrown: Error) => thrown);
    expect(String(error)).toContain("redirects more than 10 times");
    expect(String(error)).not.toContain("secret");
  });
});

describe("authorization", () => {
  const challenge = (registry: TestRegistry) =>
    `Bearer realm="http://${registry.host}/token",service="svc",scope="repository:a:pull"`;

  function guarded(
    registry: TestRegistry,
    token: (line: string, headers: Record<string, string>, body: string) => object | number,
  ): void {
    registry.handle = (line, headers, body) => {
      if (line.includes("/token")) {
        const answer = token(line, headers, body);
        return typeof answer === "number" ? { status: answer } : { status: 200, body: JSON.stringify(answer) };
      }
      if (headers.authorization === "Bearer good") return undefined;
      return { status: 401, headers: { "www-authenticate": challenge(registry) } };
    };
  }

  test("anonymous tokens are fetched once for requests at the same time, and kept", async () => {
    await using registry = await openTestRegistry();
    registry.manifest("1", { schemaVersion: 2 });
    guarded(registry, () => ({ token: "good" }));
    const client = open();
    await Promise.all([1, 2, 3].map(() => client.resolve(`${registry.host}/a:1`, signal)));
    await client.resolve(`${registry.host}/a:1`, signal);
    const asked = lines(registry).filter((line) => line.includes("/token"));
    expect(asked).toEqual(["GET /token?service=svc&scope=repository%3Aa%3Apull"]);
  });

  test("credentials go by POST, then by GET with Basic; an identity token by POST", async () => {
    await using registry = await openTestRegistry();
    registry.manifest("1", { schemaVersion: 2 });
    guarded(registry, (_line, _headers, body) =>
      body.includes("password=p%26w") ? { access_token: "good", expires_in: 60 } : 400,
    );
    await open({ credentials: () => ({ username: "u", secret: "p&w" }) }).resolve(`${registry.host}/a:1`, signal);
    guarded(registry, (line, headers) =>
      line.startsWith("POST") ? 404 : headers.authorization === `Basic ${btoa("u:pw")}` ? { token: "good" } : 401,
    );
    await open({ credentials: () => ({ username: "u", secret: "pw" }) }).resolve(`${registry.host}/a:1`, signal);
    guarded(registry, (_line, _headers, body) =>
      body.includes("grant_type=refresh_token") && body.includes("refresh_token=idt") ? { access_token: "good" } : 401,
    );
    await open({ credentials: () => ({ identityToken: "idt" }) }).resolve(`${registry.host}/a:1`, signal);
  });

  test("an expired or refused token is fetched anew", async () => {
    await using registry = await openTestRegistry();
    registry.manifest("1", { schemaVersion: 2 });
    let given = 0;
    guarded(registry, () => ({ token: ++given === 1 ? "stale" : "good", expires_in: 1 }));
    const client = open();
    await client.resolve(`${registry.host}/a:1`, signal).catch(() => undefined);
    await client.resolve(`${registry.host}/a:1`, signal);
    expect(given).toBeGreaterThanOrEqual(2);
  });

  test("wrong credentials are an Unauthenticated that doesn't show them", async () => {
    await using registry = await openTestRegistry();
    guarded(registry, () => 401);
    const client = open({ credentials: () => ({ username: "u", secret: "s3cret" }) });
    const error = await client.resolve(`${registry.host}/a:1`, signal).catch((thrown: Error) => thrown);
    expect(isCode(error, "unauthenticated")).toBe(true);
    expect(Bun.inspect(error)).not.toContain("s3cret");
    await expect(open().resolve(`${registry.host}/a:1`, signal)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("challenges: several, quoted, odd, and any text at all", () => {
    expect(parseChallenges('Basic realm="a, \\"b\\"", Bearer realm=x, scope="r:a:pull,push"')).toEqual([
      { scheme: "basic", parameters: { realm: 'a, "b"' } },
      { scheme: "bearer", parameters: { realm: "x", scope: "r:a:pull,push" } },
    ]);
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseChallenges(text))));
    expect(parseChallenges('Bearer realm="x')).toHaveLength(1);
  });
});

test("a TLS registry with a private authority, and a client's certificate", async () => {
  const directory = (await Bun.$`mktemp -d`.text()).trim();
  try {
    const made =
      await Bun.$`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout ${directory}/key -out ${directory}/cert`
        .quiet()
        .nothrow();
    if (made.exitCode !== 0) return;
    const [key, certificate] = await Promise.all(
      ["key", "cert"].map((name) => Bun.file(`${directory}/${name}`).text()),
    );
    const bytes = new TextEncoder().encode("{}");
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { key, cert: certificate },
      fetch: () =>
        new Response(bytes, {
          headers: { "content-type": mediaTypes.ociManifest, "docker-content-digest": digestOf(bytes) },
        }),
    });
    try {
      const ref = `localhost:${server.port}/a:1`;
      const hosts = (tls?: object) => () =>
        [
          { scheme: "https", host: `localhost:${server.port}`, path: "/v2", capabilities: ["pull", "resolve"], tls },
        ] as const;
      await expect(open({ hosts: hosts() }).resolve(ref, signal)).rejects.toThrow("is not trusted");
      // By the default hosts, which would speak plain text to this machine if it didn't do TLS.
      await expect(openRegistry().resolve(ref, signal)).rejects.toThrow("is not trusted");
      expect((await open({ hosts: hosts({ ca: [certificate] }) }).resolve(ref, signal)).descriptor.size).toBe(2);
      expect((await open({ hosts: hosts({ skipVerify: true }) }).resolve(ref, signal)).descriptor.size).toBe(2);
    } finally {
      await server.stop(true);
    }
  } finally {
    await Bun.$`rm -rf ${directory}`;
  }
});

test("a mirror that can't be connected to within its dial_timeout is left for the next host", async () => {
  await using registry = await openTestRegistry();
  const manifest = registry.manifest("1", { schemaVersion: 2, layers: [], config: {} });
  // Nobody answers at an address for documentation (RFC 5737); some networks say so at once.
  const dead = { scheme: "http", host: "192.0.2.1:5000", path: "/v2", capabilities: ["pull", "resolve"] } as const;
  const [own] = await defaultHosts({ plainHttp: true })(registry.host);
  if (own === undefined) throw new Error("no host");
  const client = openRegistry({
    hosts: () => [
      { ...dead, dialTimeout: 100 },
      { ...own, dialTimeout: 5000 },
    ],
    retry: { attempts: { once: 1, quick: 1, patient: 1 }, pause: 1, maxPause: 1, maxRetryAfter: 1 },
  });
  const started = performance.now();
  const { descriptor } = await client.resolve(`${registry.host}/a:1`, new AbortController().signal);
  expect(descriptor.digest).toBe(manifest.digest);
  expect(performance.now() - started).toBeLessThan(20_000);
});

describe("a large blob in pieces", () => {
  const retry = { attempts: { once: 1, quick: 2, patient: 3 }, pause: 1, maxPause: 2, maxRetryAfter: 10 };
  async function fetched(registry: Awaited<ReturnType<typeof openTestRegistry>>, size: number, offset: number) {
    const descriptor = registry.blob(noise(size));
    const hosts = defaultHosts({ plainHttp: true });
    const client = openRegistry({ hosts, retry, pieces: { piece: 1000, connections: 3 } });
    const { signal } = new AbortController();
    const chunks: Uint8Array[] = [];
    for await (const chunk of await client.fetch(`${registry.host}/a:1`, descriptor, { offset, signal }))
      chunks.push(chunk);
    return Buffer.concat(chunks).equals(Buffer.from(noise(size).subarray(offset)));
  }

  test("is whole and in order, also over cut connections", async () => {
    await using registry = await openTestRegistry();
    for (const [size, offset] of [
      [10_500, 0],
      [10_500, 4321],
      [1001, 0],
      [900, 10],
    ] as const)
      expect(await fetched(registry, size, offset)).toBe(true);
    registry.faults.push({ when: /GET .*blobs/, times: 6, cutAfter: 300 });
    expect(await fetched(registry, 20_000, 0)).toBe(true);
    expect(registry.requests.filter(({ line }) => line.includes("bytes=")).length).toBeGreaterThan(30);
  });

  test("comes by one connection from a server that doesn't know ranges", async () => {
    await using registry = await openTestRegistry();
    registry.faults.push({ when: /GET .*blobs/, times: 100, ignoreRange: true });
    expect(await fetched(registry, 5000, 0)).toBe(true);
    expect(registry.requests.filter(({ line }) => line.includes("blobs")).length).toBe(2);
  });
});
