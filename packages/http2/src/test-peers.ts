import { frameFlags, frameTypes, preface } from "./codes.ts";
import { Connection, type ConnectionOptions, type ConnectionOwner } from "./connection.ts";
import type { FieldList } from "./fields.ts";
import { FrameReader } from "./frame-reader.ts";
import { HeaderEncoder } from "./hpack/encoder.ts";
import type { StreamEnd, StreamReceiver } from "./stream.ts";
import { linkPair, type TestLink } from "./testing.ts";

export const post = (path: string, ...more: string[]): FieldList => [
  ...[":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost"],
  ...more,
];
export const ok: FieldList = [":status", "200", "content-type", "application/grpc"];
export const success: FieldList = ["grpc-status", "0"];

/** Gathers what a stream receives. */
export class Recorder implements StreamReceiver {
  fields: FieldList = [];
  final: FieldList = [];
  readonly chunks: Uint8Array[] = [];
  whole = false;
  end: StreamEnd | undefined;
  onEnded = (): void => {};

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  headers(fields: FieldList): void {
    this.fields = fields;
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(chunk);
  }

  trailers(fields: FieldList): void {
    this.final = fields;
  }

  ended(): void {
    this.whole = true;
    this.onEnded();
  }

  closed(end: StreamEnd): void {
    if (this.end !== undefined) throw new Error("closed twice");
    this.end = end;
  }
}

/** A server that gives back what it is sent when it has all. */
export function echo(requests: FieldList[] = [], recorders: Recorder[] = []): ConnectionOwner {
  return {
    request(stream, fields) {
      requests.push(fields);
      const recorder = new Recorder();
      recorders.push(recorder);
      recorder.onEnded = () => {
        stream.respond(ok);
        stream.write([recorder.body]);
        stream.end(success);
      };
      return recorder;
    },
    closed() {},
  };
}

export const nobody: ConnectionOwner = { closed() {} };
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Delivers both ways until nothing moves any more. */
export async function settle(a: TestLink, b: TestLink, size?: () => number): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await turn();
    while (a.deliver(size?.()) + b.deliver(size?.()) > 0) quiet = 0;
  }
}

export function pair(
  owner: ConnectionOwner,
  options: { room?: number; server?: ConnectionOptions; client?: object } = {},
) {
  const [near, far] = linkPair(options.room);
  const server = new Connection("server", far, owner, options.server);
  const client = new Connection("client", near, nobody, options.client);
  server.start();
  client.start();
  return { near, far, server, client };
}

/** A frame, as another side could send it. */
export function frame(type: number, flags: number, streamId: number, payload: ArrayLike<number> = []): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, Uint8Array.from(payload)]);
}

export const uint32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
export const setting = (id: number, value: number): number[] => [0, id, ...uint32(value)];
export const both = frameFlags.endHeaders | frameFlags.endStream;

export function block(fields: FieldList): Uint8Array {
  const out = new Uint8Array(HeaderEncoder.room(fields));
  return out.subarray(0, new HeaderEncoder().encode(fields, out, 0));
}

export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

/** The frames in bytes that a server sent. */
export function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader(
    {
      data: (streamId, content, _counted, endStream) =>
        frames.push({ type: 0, flags: endStream ? 1 : 0, streamId, payload: Buffer.from(content) }),
      frame: (type, flags, streamId, all, from, to) =>
        frames.push({ type, flags, streamId, payload: Buffer.from(all.slice(from, to)) }),
    },
    1 << 24,
  );
  reader.push(bytes);
  return frames;
}

/** A server, and the bytes of a client as the test makes them. */
export async function raw(owner: ConnectionOwner = echo(), options?: ConnectionOptions) {
  const [near, far] = linkPair();
  near.start({ data() {}, closed() {} });
  const server = new Connection("server", far, owner, options);
  server.start();
  const send = async (...frames: Uint8Array[]): Promise<Frame[]> => {
    const before = far.written.length;
    for (const bytes of frames) near.write(bytes);
    await settle(near, far);
    return framesOf(far.written.subarray(before));
  };
  await send(preface, frame(frameTypes.settings, 0, 0));
  return { near, far, server, send };
}
