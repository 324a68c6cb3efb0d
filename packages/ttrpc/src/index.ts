/**
 * ttrpc: gRPC's services over a unix socket without HTTP/2, as containerd and its shims speak it to each other.
 *
 *   frame.ts     bytes of a frame
 *   address.ts   where a shim says that it listens
 *   client.ts    connectTtrpc(path) ──► ttrpcClient(definition, connection) ──► calls ──► close()
 *   server.ts    new TtrpcServer().register(definition, implementation).listen({ path })
 *
 * It runs on Bun and Node, and loads little: a shim lives for as long as its container does.
 */

export type { ByteLink, ListenTarget, Peer } from "@hull/link";
export { socketPathOf } from "./address.ts";
export { connectTtrpc, TtrpcConnection, ttrpcClient } from "./client.ts";
export { encodeFrame, type Frame, FrameDecoder, frameFlags, frameTypes, maximumPayload } from "./frame.ts";
export { type ListenOptions, TtrpcServer } from "./server.ts";
