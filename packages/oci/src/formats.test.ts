import { describe, expect, test } from "bun:test";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import * as oci from "./index.ts";

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const sha = (text: string) => oci.digestOf(text);
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "none";
  } catch (error) {
    for (const code of ["invalidArgument", "unimplemented", "notFound"] as const) if (isCode(error, code)) return code;
    throw error;
  }
};

describe("digests", () => {
  test("the three algorithms, and nothing else", () => {
    for (const algorithm of ["sha256", "sha384", "sha512"] as const) {
      const digest = oci.digestOf("x", algorithm);
      expect(oci.parseDigest(digest).algorithm).toBe(algorithm);
      expect(oci.isDigest(digest)).toBe(true);
    }
    for (const bad of [
      "",
      "sha256",
      "sha256:",
      `sha256:${"A".repeat(64)}`,
      `md5:${"0".repeat(32)}`,
      `sha256:${"0".repeat(63)}`,
      `${sha("x")}\n`,
    ]) {
      expect(codeOf(() => oci.parseDigest(bad))).toBe("invalidArgument");
      expect(oci.isDigest(bad)).toBe(false);
    }
  });

  test("a Digester's digest may be asked in the middle", () => {
    const digester = new oci.Digester();
    expect(digester.update(bytes("a")).digest()).toBe(sha("a"));
    expect(digester.update(bytes("b")).digest()).toBe(sha("ab"));
  });

  test("chain ids: the example of the OCI spec's formula", () => {
    const [a, b, c] = [sha("a"), sha("b"), sha("c")];
    const ab = sha(`${a} ${b}`);
    expect(oci.chainIds([a, b, c])).toEqual([a, ab, sha(`${ab} ${c}`)]);
    expect(oci.chainId([])).toBe("");
  });
});

describe("references", () => {
  const digest = sha("x");
  const normal: Record<string, string> = {
    alpine: "docker.io/library/alpine:latest",
    "alpine:3.20": "docker.io/library/alpine:3.20",
    "user/app": "docker.io/user/app:latest",
    "docker.io/alpine": "docker.io/library/alpine:latest",
    "index.docker.io/library/alpine": "docker.io/library/alpine:latest",
    "localhost/app": "localhost/app:latest",
    "localhost:5000/app:1": "localhost:5000/app:1",
    "registry.k8s.io/pause:3.9": "registry.k8s.io/pause:3.9",
    [`alpine@${digest}`]: `docker.io/library/alpine@${digest}`,
    [`alpine:3@${digest}`]: `docker.io/library/alpine:3@${digest}`,
    "[::1]:5000/a": "[::1]:5000/a:latest",
    "a/b/c/d": "docker.io/a/b/c/d:latest",
    "Host/app": "Host/app:latest",
  };
  for (const [short, full] of Object.entries(normal))
    test(`${short} is ${full}`, () => {
      expect(oci.formatReference(oci.normalizeReference(short))).toBe(full);
      expect(oci.formatReference(oci.parseReference(full))).toBe(full);
      expect(oci.formatReference(oci.normalizeReference(oci.familiarReference(oci.parseReference(full))))).toBe(full);
    });

  test("bad ones are refused with a hint", () => {
    for (const bad of [
      "",
      "/",
      "a//b",
      "docker.io/",
      "-a",
      "a:",
      "a:-x",
      "a@sha256:1",
      "docker.io/Alpine",
      "https://x/y",
      "a b",
      "a/../b",
      "é",
      `docker.io/${"a".repeat(256)}`,
    ])
      expect([bad, codeOf(() => oci.normalizeReference(bad))]).toEqual([bad, "invalidArgument"]);
    expect(() => oci.normalizeReference("docker.io/Alpine")).toThrow('write "alpine"');
    expect(() => oci.parseReference("alpine")).toThrow('say "docker.io/library/alpine:latest"');
    expect(() => oci.normalizeReference("https://x/y")).toThrow('leave out "https://"');
    expect(() => oci.normalizeReference("0".repeat(64))).toThrow("image's id");
  });

  test("parse is the inverse of format, and any text parses or is an InvalidArgument", () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/);
    const reference = fc.record({
      domain: fc.constantFrom("docker.io", "localhost", "localhost:5000", "a.b-c.example", "[fe80::1]:1"),
      path: fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/")),
      tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined }),
      digest: fc.option(fc.string().map(sha), { nil: undefined }),
    });
    fc.assert(
      fc.property(reference, (value) => {
        expect(oci.parseReference(oci.formatReference(value))).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(["none", "invalidArgument"]).toContain(codeOf(() => oci.normalizeReference(text)));
        expect(["none", "invalidArgument"]).toContain(codeOf(() => oci.parseReference(text)));
      }),
    );
  });
});

describe("platforms", () => {
  const linux = { os: "linux", architecture: "amd64" };
  test("spellings", () => {
    const cases: Record<string, string> = {
      linux: "linux/amd64",
      arm64: "linux/arm64",
      "linux/x86_64": "linux/amd64",
      "linux/aarch64": "linux/arm64",
      "linux/arm64/v8": "linux/arm64",
      "linux/arm": "linux/arm/v7",
      "linux/armhf": "linux/arm/v7",
      "linux/arm/6": "linux/arm/v6",
      "linux/amd64/v3": "linux/amd64/v3",
      "windows(10.0.17763)/amd64": "windows(10.0.17763)/amd64",
      "Linux/i386": "linux/386",
    };
    for (const [text, expected] of Object.entries(cases))
      expect(oci.formatPlatform(oci.parsePlatform(text, linux))).toBe(expected);
    for (const bad of ["", "x", "linux/", "linux/amd64/v1/x", "linux/a b", "linux(1/amd64"])
      expect([bad, codeOf(() => oci.parsePlatform(bad, linux))]).toEqual([bad, "invalidArgument"]);
  });

  test("the preference vectors", () => {
    const vector = (text: string) =>
      oci.platformVector(oci.parsePlatform(text, linux)).map((p) => oci.formatPlatform(p).slice(6));
    expect(vector("linux/amd64")).toEqual(["amd64", "386"]);
    expect(vector("linux/amd64/v3")).toEqual(["amd64/v3", "amd64/v2", "amd64", "386"]);
    expect(vector("linux/arm/v7")).toEqual(["arm/v7", "arm/v6", "arm/v5"]);
    expect(vector("linux/arm64")).toEqual(["arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"]);
    expect(vector("linux/arm64/v8.1").slice(0, 3)).toEqual(["arm64/v8.1", "arm64", "arm/v8"]);
    expect(vector("linux/arm64/v9.1").slice(0, 4)).toEqual(["arm64/v9.1", "arm64/v9", "arm64/v8.6", "arm64/v8.5"]);
    expect(vector("linux/riscv64")).toEqual(["riscv64"]);
  });

  test("the best of an index", () => {
    const item = (text: string) => ({ text, platform: oci.parsePlatform(text, linux) });
    const items = ["linux/386", "linux/arm64", "linux/amd64/v2", "linux/amd64", "windows/amd64"].map(item);
    expect(oci.bestForPlatform(items, linux)?.text).toBe("linux/amd64");
    expect(oci.bestForPlatform(items, { ...linux, variant: "v4" })?.text).toBe("linux/amd64/v2");
    expect(oci.bestForPlatform(items, { os: "linux", architecture: "s390x" })).toBeUndefined();
    expect(
      oci.bestForPlatform<{ text: string; platform?: oci.Platform }>([{ text: "none" }, ...items.slice(0, 1)], linux)
        ?.text,
    ).toBe("linux/386");
    const windows = ["10.0.17763.1", "10.0.17763.9", "10.0.20348.1"].map((version) =>
      item(`windows(${version})/amd64`),
    );
    const host = { os: "windows", architecture: "amd64", "os.version": "10.0.17763.5" };
    expect(oci.bestForPlatform(windows, host)?.text).toBe("windows(10.0.17763.9)/amd64");
  });

  test("normalising twice is normalising once", () => {
    const part = fc.constantFrom(
      "amd64",
      "x86_64",
      "arm",
      "armhf",
      "arm64",
      "aarch64",
      "386",
      "v7",
      "v8",
      "8",
      "7",
      "",
      "v1",
    );
    fc.assert(
      fc.property(part, part, (architecture, variant) => {
        const once = oci.normalizePlatform({ os: "Linux", architecture, variant });
        expect(oci.normalizePlatform(once)).toEqual(once);
      }),
    );
  });
});

describe("manifests", () => {
  const blob = (mediaType: string, text: string): oci.Descriptor => ({
    mediaType,
    digest: sha(text),
    size: text.length,
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: oci.mediaTypes.ociManifest,
    config: blob(oci.mediaTypes.ociConfig, "config"),
    layers: [blob(oci.mediaTypes.ociLayerGzip, "one"), blob(oci.mediaTypes.ociLayerZstd, "two")],
    annotations: { a: "b" },
  };
  const index = {
    schemaVersion: 2,
    manifests: [{ ...blob(oci.mediaTypes.ociManifest, "m"), platform: { os: "linux", architecture: "amd64" } }],
  };

  test("a manifest and an index read as they were written", () => {
    expect(oci.parseManifest("m", bytes(manifest)) as object).toEqual(manifest);
    expect(oci.parseIndex("i", bytes(index)) as object).toEqual({ ...index, mediaType: oci.mediaTypes.ociIndex });
    expect(oci.parseDocument("i", bytes(index)).kind).toBe("index");
    expect(oci.childrenOf(oci.parseDocument("m", bytes(manifest))).map((child) => child.size)).toEqual([6, 3, 3]);
  });

  test("a document of two kinds is refused, and Docker's schema 1", () => {
    const both = bytes({ ...manifest, manifests: index.manifests });
    expect(() => oci.parseManifest("m", both)).toThrow("has the fields of an index");
    expect(() => oci.parseIndex("i", both)).toThrow("has the fields of a manifest");
    expect(() => oci.parseIndex("i", bytes(manifest))).toThrow("has the fields of a manifest");
    expect(codeOf(() => oci.parseDocument("m", bytes({ schemaVersion: 1, fsLayers: [] })))).toBe("unimplemented");
    expect(() => oci.parseDocument("m", bytes(manifest), "text/plain")).toThrow('the media type "text/plain"');
  });

  test("errors name the place", () => {
    expect(() => oci.parseManifest('"m"', bytes({ schemaVersion: 2 }))).toThrow('"m" has no "config"');
    expect(() => oci.parseManifest("m", bytes({ ...manifest, layers: [{}] }))).toThrow(
      'm: "layers[0]" has no "digest"',
    );
    expect(() => oci.parseManifest("m", bytes({ ...manifest, layers: [{ digest: sha("x"), size: -1 }] }))).toThrow(
      '"layers[0]": "size"',
    );
    expect(() => oci.parseManifest("m", bytes({ ...manifest, config: { digest: "../../x", size: 1 } }))).toThrow(
      '"config": digest "../../x"',
    );
    expect(() => oci.parseManifest("m", bytes("{"))).toThrow("m is not JSON");
    expect(() => oci.parseManifest("m", new Uint8Array(oci.maxManifestSize + 1))).toThrow("at most 4393216");
  });

  test("any JSON is read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(["none", "invalidArgument", "unimplemented"]).toContain(
          codeOf(() => oci.parseDocument("x", bytes(text))),
        );
        expect(["none", "invalidArgument"]).toContain(codeOf(() => oci.parseImageConfig("x", bytes(text))));
      }),
    );
    const shaped = fc.record(
      {
        schemaVersion: fc.jsonValue(),
        config: fc.jsonValue(),
        layers: fc.jsonValue(),
        manifests: fc.jsonValue(),
        rootfs: fc.jsonValue(),
        history: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(shaped, (value) => {
        expect(["none", "invalidArgument", "unimplemented"]).toContain(
          codeOf(() => oci.parseDocument("x", bytes(value))),
        );
        expect(["none", "invalidArgument"]).toContain(codeOf(() => oci.parseImageConfig("x", bytes(value))));
      }),
    );
  });

  test("an image config", () => {
    const config = oci.parseImageConfig(
      "c",
      bytes({
        os: "linux",
        architecture: "arm64",
        variant: "v8",
        rootfs: { type: "layers", diff_ids: [sha("a")] },
        config: { Env: null, Cmd: ["x"], Volumes: { "/data": {} }, Labels: { l: "1" }, StopSignal: "SIGTERM" },
        history: [{ created_by: "x", empty_layer: true }],
      }),
    );
    expect(config.platform).toEqual({ os: "linux", architecture: "arm64", variant: "v8" });
    expect(config.diffIds).toEqual([sha("a")]);
    expect(config.config).toMatchObject({
      env: [],
      cmd: ["x"],
      volumes: ["/data"],
      labels: { l: "1" },
      stopSignal: "SIGTERM",
    });
    expect(config.history).toEqual([{ createdBy: "x", emptyLayer: true }]);
    expect(() => oci.parseImageConfig("c", bytes({ rootfs: { diff_ids: ["x"] } }))).toThrow("not a digest");
  });

  test("child labels are containerd's", () => {
    const children = [manifest.config, ...manifest.layers, ...index.manifests, blob("text/x", "x")];
    expect(
      Object.keys(oci.childLabels(children)).map((label) => label.slice("containerd.io/gc.ref.content".length)),
    ).toEqual([".config", ".l.0", ".l.1", ".m.0", ".0"]);
    expect(oci.ingestRef(manifest.config)).toBe(`config-${sha("config")}`);
  });
});

describe("layouts", () => {
  test("paths of blobs lead to their digests and back; others to none", () => {
    const digest = sha("x");
    expect(oci.digestOfBlobPath(oci.blobPath(digest))).toBe(digest);
    for (const path of ["blobs/sha256/x", "blobs/../etc/passwd", "index.json", `blobs/sha256/${"0".repeat(64)}/x`])
      expect(oci.digestOfBlobPath(path)).toBeUndefined();
    oci.checkLayout(oci.layoutContent);
    for (const bad of ["", "null", "{}", '{"imageLayoutVersion":"2.0.0"}'])
      expect(codeOf(() => oci.checkLayout(bad))).toBe("invalidArgument");
  });
});
