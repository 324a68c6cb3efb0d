/**
 * HTTP/2 as gRPC needs it over a local socket: RFC 9113 and RFC 7541 with prior knowledge, without push, priorities and upgrades.
 *
 *   connection.ts    one side of a connection: frames in, streams to their owners; no I/O but a `ByteLink`
 *   stream.ts        a request and its answer, with its windows
 *   sender.ts        what goes out, gathered by turns of the event loop, content as windows have room
 *   output.ts        frames to bytes        frame-reader.ts   bytes to frames
 *   hpack/           header compression
 *
 * It runs on Bun and Node. Bytes in can't make it throw.
 */
export { errorCodes } from "./codes.ts";
export { Connection, type ConnectionOptions, type ConnectionOwner } from "./connection.ts";
export { ConnectionError } from "./errors.ts";
export { type FieldList, fieldOf } from "./fields.ts";
export type { Stream, StreamEnd, StreamReceiver } from "./stream.ts";
