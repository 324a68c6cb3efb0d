import { createServer, type Server, type Socket } from "node:net";
import { type Descriptor, digestOf, mediaTypes } from "@hull/oci";

/** What a test registry does to requests before it answers them as it should. */
export interface Fault {
  /** Matches the request's `METHOD path`. */
  when: RegExp;
  /** How many requests it meets: 1. */
  times?: number;
  /** Cut the connection after so many bytes of the body. */
  cutAfter?: number;
  /** Say nothing more after so many bytes of the body. */
  stallAfter?: number;
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Pretend not to know ranges. */
  ignoreRange?: boolean;
}

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** `METHOD path` with the range, in the order they came */
  readonly requests: { line: string; headers: Record<string, string>; body: string }[];
  readonly blobs: Map<string, Uint8Array>;
  readonly manifests: Map<string, { mediaType: string; bytes: Uint8Array }>;
  readonly faults: Fault[];
  /** Answers instead of the registry if it gives something. */
  handle?: (line: string, headers: Record<string, string>, body: string) => Answer | undefined;
  blob(bytes: Uint8Array, mediaType?: string): Descriptor;
  manifest(tag: string, value: object, mediaType?: string): Descriptor;
}

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

/**
 * A registry on loopback that a test fills and breaks. Written on sockets, since a test has to cut connections in the middle
 * of a body.
 */
export async function openTestRegistry(): Promise<TestRegistry> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    serve(registry, socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const registry: TestRegistry = {
    host: `127.0.0.1:${address.port}`,
    requests: [],
    blobs: new Map(),
    manifests: new Map(),
    faults: [],
    blob(bytes, mediaType = mediaTypes.ociLayerGzip) {
      const digest = digestOf(bytes);
      registry.blobs.set(digest, bytes);
      return { mediaType, digest, size: bytes.length };
    },
    manifest(tag, value, mediaType = mediaTypes.ociManifest) {
      const bytes = new TextEncoder().encode(JSON.stringify(value));
      const digest = digestOf(bytes);
      for (const name of [tag, digest]) registry.manifests.set(name, { mediaType, bytes });
      return { mediaType, digest, size: bytes.length };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return registry;
}

function serve(registry: TestRegistry, socket: Socket): void {
  let buffered = Buffer.alloc(0);
  let busy = Promise.resolve();
  socket.on("data", (chunk: Buffer) => {
    // A TLS client's hello, to a server that speaks plain text.
    if (chunk[0] === 0x16) {
      socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
      return;
    }
    buffered = Buffer.concat([buffered, chunk]);
    for (;;) {
      const end = buffered.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [first = "", ...lines] = buffered.subarray(0, end).toString("latin1").split("\r\n");
      const headers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
      );
      const length = Number(headers["content-length"] ?? 0);
      if (buffered.length < end + 4 + length) return;
      const body = buffered.subarray(end + 4, end + 4 + length).toString();
      buffered = buffered.subarray(end + 4 + length);
      const line = first.replace(/ HTTP\/1\.1$/, "");
      registry.requests.push({ line: headers.range === undefined ? line : `${line} ${headers.range}`, headers, body });
      busy = busy.then(() => answer(registry, socket, line, headers, body));
    }
  });
}

async function answer(
  registry: TestRegistry,
  socket: Socket,
  line: string,
  headers: Record<string, string>,
  body: string,
): Promise<void> {
  const fault = registry.faults.find((candidate) => candidate.when.test(line) && (candidate.times ?? 1) > 0);
  if (fault !== undefined) fault.times = (fault.times ?? 1) - 1;
  const own: Answer =
    fault?.status === undefined
      ? (registry.handle?.(line, headers, body) ?? content(registry, line, fault?.ignoreRange === true ? {} : headers))
      : { status: fault.status };
  const bytes = typeof own.body === "string" ? Buffer.from(own.body) : (own.body ?? new Uint8Array());
  const sent = fault?.body === undefined ? bytes : Buffer.from(fault.body as string);
  const all: Record<string, string> = { "content-length": String(sent.length), ...own.headers, ...fault?.headers };
  let head = `HTTP/1.1 ${own.status} X\r\n`;
  for (const [name, value] of Object.entries(all)) if (value !== "") head += `${name}: ${value}\r\n`;
  socket.write(`${head}\r\n`);
  if (line.startsWith("HEAD ")) return;
  if (fault?.cutAfter !== undefined) {
    socket.write(sent.subarray(0, fault.cutAfter), () => socket.destroy());
    return;
  }
  socket.write(fault?.stallAfter === undefined ? sent : sent.subarray(0, fault.stallAfter));
}

function content(registry: TestRegistry, line: string, headers: Record<string, string>): Answer {
  const [, kind, name = ""] = / \/v2\/.+\/(manifests|blobs)\/([^?]+)/.exec(line) ?? [];
  const manifest = kind === "manifests" ? registry.manifests.get(name) : undefined;
  const bytes = manifest?.bytes ?? (kind === "blobs" ? registry.blobs.get(name) : undefined);
  if (bytes === undefined)
    return {
      status: 404,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        errors: [{ code: kind === "manifests" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN", message: "unknown" }],
      }),
    };
  const common = {
    "content-type": manifest?.mediaType ?? "application/octet-stream",
    "docker-content-digest": digestOf(bytes),
  };
  const [, start, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  if (start === undefined) return { status: 200, headers: common, body: bytes };
  const from = Number(start);
  const to = last === "" || last === undefined ? bytes.length : Math.min(bytes.length, Number(last) + 1);
  return {
    status: 206,
    headers: { ...common, "content-range": `bytes ${from}-${to - 1}/${bytes.length}` },
    body: bytes.subarray(from, to),
  };
}

/** Bytes that don't repeat, the same each time. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}
