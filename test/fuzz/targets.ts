import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { decodeMessageText, decodeTimeout } from "@hull/api/grpc/headers";
import { MessageDecoder, messagePrefix } from "@hull/api/grpc/message";
import { compileTemplate } from "@hull/cli/template/index";
import { parseNetwork } from "@hull/cni";
import { loadConfig } from "@hull/daemon/config/load";
import { daemonPlugins } from "@hull/daemon/daemon";
import { openDeviceRegistry } from "@hull/engine/cdi/index";
import { decompress } from "@hull/engine/diff/compression/index";
import { encodeHeader, endOfArchive, paddingAfter, TarParser } from "@hull/engine/diff/tar/index";
import { containerAdaptor } from "@hull/engine/metadata/filters/adaptors";
import { compileFilters } from "@hull/engine/metadata/filters/index";
import { BoltDatabase, type Bucket } from "@hull/engine/migrate/bolt/index";
import { Mux } from "@hull/engine/nri/mux";
import { parseChallenges } from "@hull/engine/registry/challenge";
import { hostsFromDirectories } from "@hull/engine/registry/hosts-file";
import { HullError } from "@hull/errors";
import { Connection, ConnectionError } from "@hull/http2";
import { preface } from "@hull/http2/codes";
import { HeaderDecoder } from "@hull/http2/hpack/decoder";
import { HeaderEncoder } from "@hull/http2/hpack/encoder";
import { linkPair } from "@hull/http2/testing";
import { parseDigest } from "@hull/oci/digest";
import { parseImageConfig, parseIndex, parseManifest } from "@hull/oci/manifest";
import { parsePlatform } from "@hull/oci/platform";
import { normalizeReference, parseReference } from "@hull/oci/reference";
import { createWillFail, execWillFail } from "@hull/shim/foresee";
import { lastErrorOf } from "@hull/shim/oci-runtime";
import { parseMountInfo } from "@hull/sys/mount-info";
import { encodeFrame, FrameDecoder, frameFlags, frameTypes } from "@hull/ttrpc/frame";
import { streamingTargets } from "./streaming.ts";

/** A parser, and bytes that it takes. */
export interface Target {
  readonly name: string;
  readonly samples: readonly Uint8Array[];
  parse(bytes: Uint8Array): unknown;
  /** What else than an error of ours means that the input was refused. */
  refusal?(thrown: unknown): boolean;
}

const encoder = new TextEncoder();
const bytesOf = (text: string): Uint8Array => encoder.encode(text);
const jsonOf = (value: unknown): Uint8Array => bytesOf(JSON.stringify(value));
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
/** In pieces, as it comes from pipes and sockets. */
function* pieces(bytes: Uint8Array, size = 700): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A text parser, and texts that it takes. */
function ofText(name: string, samples: readonly string[], parse: (text: string) => unknown): Target {
  return { name, samples: samples.map(bytesOf), parse: (bytes) => parse(textOf(bytes)) };
}

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 1234 };
const manifest = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: { ...descriptor, mediaType: "application/vnd.oci.image.config.v1+json" },
  layers: [descriptor, { ...descriptor, annotations: { a: "b" }, urls: ["https://example.com/x"] }],
  subject: descriptor,
};
const index = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [{ ...descriptor, platform: { os: "linux", architecture: "arm64", variant: "v8" } }],
};
const imageConfig = {
  os: "linux",
  architecture: "amd64",
  config: { Env: ["PATH=/bin"], Cmd: ["sh"], Labels: { a: "b" }, ExposedPorts: { "80/tcp": {} }, User: "1:2" },
  rootfs: { type: "layers", diff_ids: [digest] },
  history: [{ created: "2026-01-01T00:00:00Z", created_by: "x", empty_layer: true }],
};
const spec = {
  ociVersion: "1.0.2",
  linux: {},
  root: { path: "rootfs" },
  process: { user: { uid: 0, gid: 0 }, args: ["sh", "-c", "true"], cwd: "/", env: ["PATH=/bin:/usr/bin"] },
  mounts: [{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] }],
};

function tarSamples(): Uint8Array[] {
  const folder = mkdtempSync(join(tmpdir(), "hull-fuzz-"));
  try {
    mkdirSync(join(folder, "d", "e".repeat(120)), { recursive: true });
    writeFileSync(join(folder, "d", "e".repeat(120), "long"), "x".repeat(1500));
    writeFileSync(join(folder, "sparse"), "");
    Bun.spawnSync(["truncate", "-s", "64K", join(folder, "sparse")]);
    Bun.spawnSync(["ln", join(folder, "sparse"), join(folder, "hard")]);
    Bun.spawnSync(["ln", "-s", "d", join(folder, "soft")]);
    const made = ["pax", "gnu", "ustar", "v7"].map(
      (format) =>
        Bun.spawnSync([
          ...["tar", "-C", folder, `--format=${format}`, "--sparse", "--numeric-owner"],
          ...["--xattrs", "--sort=name", "-cf", "-", "."],
        ]).stdout,
    );
    const name = bytesOf("file");
    const own = Buffer.concat([
      encodeHeader({
        ...{ type: "file", name, mode: 0o644, uid: 2 ** 31, gid: 1, size: 3 },
        modified: { seconds: -5, nanoseconds: 7 },
        xattrs: new Map([["user.a", bytesOf("b")]]),
      } as unknown as Parameters<typeof encodeHeader>[0]),
      bytesOf("abc"),
      paddingAfter(3),
      endOfArchive,
    ]);
    return [...made.map((bytes) => new Uint8Array(bytes)).filter(({ length }) => length > 0), own];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function parseTar(bytes: Uint8Array): void {
  const parser = new TarParser({ entry() {}, data() {}, finish() {} });
  for (const piece of pieces(bytes)) parser.push(piece);
  parser.end();
}

async function unpackStream(bytes: Uint8Array): Promise<void> {
  let at = 0;
  let total = 0;
  await decompress(
    (into) => {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    (part) => {
      total += part.length;
      // A bomb is the unpacker's to bear; here it would only take time.
      if (total > 1 << 24) at = bytes.length;
    },
  );
}

const golden = (name: string): Uint8Array =>
  new Uint8Array(gunzipSync(readFileSync(join(import.meta.dir, "../../packages/engine/src/migrate/testdata", name))));

function readBuckets(bucket: Bucket): number {
  let count = [...bucket.values()].length;
  for (const [, inner] of bucket.buckets()) count += readBuckets(inner);
  return count;
}

const scratch = mkdtempSync(join(tmpdir(), "hull-fuzz-"));
/** Takes away the folder that the parsers of files work in. */
export const removeScratch = (): void => rmSync(scratch, { recursive: true, force: true });

const config = `version = 2
root = "/var/lib/x"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
imports = []
[grpc]
  address = "/run/x.sock"
  max_recv_message_size = 16777216
[timeouts]
  "io.containerd.timeout.shim.load" = "5s"
[plugins."io.containerd.snapshotter.v1.overlayfs"]
  mount_options = ["volatile"]
[stream_processors."x"]
  accepts = ["a/b"]
  returns = "c/d"
  path = "x"
`;

const hosts = `server = "https://registry-1.example.com"
[host."https://mirror.example.com:5000/v2/x"]
  capabilities = ["pull", "resolve", "push"]
  ca = ["a.pem", "b.pem"]
  client = [["c.cert", "c.key"]]
  skip_verify = true
  override_path = true
  dial_timeout = "3s"
[host."https://mirror.example.com:5000/v2/x".header]
  x-meta = ["one", "two"]
`;

const containerRecord = {
  id: "c",
  image: "docker.io/library/x:1",
  runtime: { name: "r" },
  labels: { a: "b", "c.d": "e" },
};

const cdi = `cdiVersion: 0.6.0
kind: vendor.example.com/device
devices:
  - name: one
    containerEdits:
      env: [A=b]
      deviceNodes: [{path: /dev/null, permissions: rw}]
      mounts: [{hostPath: /etc, containerPath: /mnt, options: [ro]}]
containerEdits:
  hooks: [{hookName: createContainer, path: /bin/true, args: ["true"]}]
`;

const network = {
  cniVersion: "1.0.0",
  name: "net",
  plugins: [
    { type: "bridge", ipam: { type: "host-local", ranges: [[{ subnet: "10.0.0.0/24" }]] } },
    { type: "portmap" },
  ],
};

/** What a client sends that makes two calls. */
function http2Sample(): Uint8Array {
  const [near] = linkPair();
  const client = new Connection("client", near, { closed() {} });
  client.start();
  const fields = [":method", "POST", ":scheme", "http", ":path", "/a.B/C", ":authority", "x", "te", "trailers"];
  for (let call = 0; call < 2; call++) {
    const stream = client.request(fields, { data() {}, ended() {}, closed() {} });
    stream?.write([new Uint8Array(20)]);
  }
  return near.written;
}

async function serveHttp2(bytes: Uint8Array): Promise<void> {
  const [near, far] = linkPair();
  const server = new Connection("server", near, {
    request: () => ({ data() {}, ended() {}, closed() {} }),
    closed() {},
  });
  server.start();
  for (const piece of pieces(bytes, 50)) far.write(piece);
  far.deliver();
  await Promise.resolve();
  server.destroy(undefined);
}

export const targets: readonly Target[] = [
  { name: "tar", samples: tarSamples(), parse: parseTar },
  {
    name: "gzip",
    samples: [gzipSync("a".repeat(5000)), Buffer.concat([gzipSync("a"), gzipSync("b")])],
    parse: unpackStream,
  },
  {
    name: "zstd",
    samples: [zstdCompressSync("ab".repeat(5000)), zstdCompressSync(Buffer.alloc(0))],
    parse: unpackStream,
  },
  { name: "manifest", samples: [jsonOf(manifest)], parse: (bytes) => parseManifest("manifest", bytes) },
  { name: "index", samples: [jsonOf(index)], parse: (bytes) => parseIndex("index", bytes) },
  { name: "image config", samples: [jsonOf(imageConfig)], parse: (bytes) => parseImageConfig("config", bytes) },
  ofText("reference", [`registry.example.com:5000/a/b_c:tag-1.0@${digest}`, "docker.io/library/x"], parseReference),
  ofText("short reference", ["busybox", "a/b:c", `b@${digest}`], normalizeReference),
  ofText("digest", [digest, `sha512:${"ab".repeat(64)}`], parseDigest),
  ofText("platform", ["linux/arm64/v8", "linux", "windows(10.0.1)/amd64"], (text) => parsePlatform(text)),
  ofText(
    "filter",
    ['id==c,labels."c.d"==e', 'image~="^docker.*(x|y)+"', "labels.a", 'runtime.name!="\\x41\\n"', "labels.a~=/b/"],
    (text) => compileFilters([text], containerAdaptor)(containerRecord as never),
  ),
  ofText(
    "challenge",
    ['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"', 'Basic realm="x"'],
    parseChallenges,
  ),
  {
    name: "configuration",
    samples: [bytesOf(config)],
    parse(bytes) {
      const file = join(scratch, "config.toml");
      writeFileSync(file, bytes);
      return loadConfig(file, daemonPlugins);
    },
  },
  {
    name: "hosts.toml",
    samples: [bytesOf(hosts)],
    parse(bytes) {
      const folder = join(scratch, "hosts", "example.com");
      mkdirSync(folder, { recursive: true });
      for (const name of ["a.pem", "b.pem", "c.cert", "c.key"]) writeFileSync(join(folder, name), "");
      writeFileSync(join(folder, "hosts.toml"), bytes);
      return hostsFromDirectories([join(scratch, "hosts")])("example.com");
    },
  },
  {
    name: "ttrpc frames",
    samples: [
      Buffer.concat([
        encodeFrame(1, frameTypes.request, 0, jsonOf(manifest)),
        encodeFrame(3, frameTypes.data, frameFlags.remoteClosed, new Uint8Array(0)),
      ]),
    ],
    parse(bytes) {
      const decoder = new FrameDecoder();
      for (const piece of pieces(bytes, 7)) decoder.push(piece, () => {});
    },
  },
  {
    name: "gRPC messages",
    samples: [Buffer.concat([messagePrefix(500), new Uint8Array(500), messagePrefix(0)])],
    parse(bytes) {
      const decoder = new MessageDecoder(1 << 20);
      for (const piece of pieces(bytes, 7)) decoder.push(piece, () => {});
    },
    // The code that gRPC has for it.
    refusal: (thrown) => thrown instanceof HullError && thrown.message.includes("a message is compressed"),
  },
  ofText("gRPC texts", ["a%20b%C3%BC%"], decodeMessageText),
  ofText("gRPC timeouts", ["100m", "7S"], decodeTimeout),
  {
    name: "spec",
    samples: [jsonOf(spec)],
    parse(bytes) {
      execWillFail(scratch, bytes);
      let value: unknown;
      try {
        value = JSON.parse(textOf(bytes));
      } catch {
        return;
      }
      if (typeof value === "object" && value !== null) createWillFail(scratch, value);
    },
  },
  ofText("runtime log", ['{"level":"error","msg":"no"}\nplain\n{"level":"fatal","msg":"x"}'], lastErrorOf),
  ofText(
    "mountinfo",
    ["36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"],
    parseMountInfo,
  ),
  {
    name: "bbolt",
    samples: [golden("containerd-1.6-meta.db.gz"), golden("containerd-2.1-meta.db.gz")],
    parse: (bytes) => readBuckets(BoltDatabase.of(bytes).root),
  },
  {
    name: "HTTP/2",
    samples: [Buffer.concat([preface, new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0])]), http2Sample()],
    parse: serveHttp2,
  },
  {
    name: "HPACK",
    samples: [hpackSample()],
    parse(bytes) {
      const decoder = new HeaderDecoder(65_536);
      for (const block of pieces(bytes, 60)) decoder.decode(block);
    },
    refusal: (thrown) => thrown instanceof ConnectionError,
  },
  {
    name: "CDI",
    samples: [bytesOf(cdi)],
    async parse(bytes) {
      const folder = join(scratch, "cdi");
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "vendor.yaml"), bytes);
      const registry = openDeviceRegistry([folder]);
      await registry.inject(spec as never, ["vendor.example.com/device=one"]);
    },
  },
  ofText("CNI network", [JSON.stringify(network)], (text) => parseNetwork(text, "net.conflist")),
  ofText(
    "template",
    ['{{range .A}}{{if eq .B "x"}}{{json .}}{{else}}-{{end}}{{end}}', '{{.A.B | printf "%s"}}'],
    (text) => compileTemplate(text)({ A: [{ B: "x" }] }),
  ),
  {
    name: "NRI multiplexing",
    samples: [new Uint8Array([0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 2, 0, 0, 0, 0])],
    parse(bytes) {
      const [near, far] = linkPair();
      const mux = new Mux(near);
      mux.open(1).start({ data() {}, closed() {} });
      mux.start();
      for (const piece of pieces(bytes, 5)) far.write(piece);
      far.deliver();
      near.destroy();
    },
  },
  ...streamingTargets,
];

function hpackSample(): Uint8Array {
  const encoder = new HeaderEncoder();
  const fields = [":status", "200", "content-type", "application/grpc", "grpc-status", "0", "x-own", "value"];
  const out = new Uint8Array(400);
  return out.slice(0, encoder.encode(fields, out, encoder.encode(fields, out, 0)));
}
