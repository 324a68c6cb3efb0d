/**
 * ttrpc: gRPC's services over a unix socket without HTTP/2, as containerd and its shims speak it to each other.
 *
 *   frame.ts     bytes of a frame
 *   link.ts      a byte stream, by Bun's sockets or by Node's
 *   client.ts    connectTtrpc(path) ──► ttrpcClient(definition, connection) ──► calls ──► close()
 *   server.ts    new TtrpcServer().register(definition, implementation).listen({ path })
 *
 * It runs on Bun and Node, and loads little: a shim lives for as long as its container does.
 */
export { connectTtrpc, TtrpcConnection, ttrpcClient } from "./client.ts";
export { encodeFrame, type Frame, FrameDecoder, frameFlags, frameTypes, maximumPayload } from "./frame.ts";
export { type ByteLink, type ListenTarget, type Peer, socketPathOf } from "./link.ts";
export { type ListenOptions, TtrpcServer } from "./server.ts";
