import {
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { withWindowRepair } from "@hull/api/flow-control";
import { isGrpcContent } from "@hull/api/grpc/headers";
import { maximumMessage } from "@hull/api/grpc/message";
import { type BoundMethod, bindService } from "@hull/api/handler";
import { type HullError, internal, unavailable, unimplemented } from "@hull/errors";
import { type CallHost, GrpcCall, type MessageLimits } from "./grpc-call.ts";
import type { Service } from "./service.ts";

export interface GrpcServerOptions {
  /** bytes */
  maxReceiveMessageSize?: number;
  maxSendMessageSize?: number;
}

/** How a request that asks for no method ends. */
interface Refusal {
  readonly error: HullError;
  readonly headers?: OutgoingHttpHeaders;
}

/**
 * What a caller may send ahead of its handler, bytes. The window of the connection stays at HTTP/2's own 64 KiB: after
 * `setLocalWindowSize` Bun (1.4.5) forgets to give back what was taken, and uploads stall.
 */
const window = 1024 * 1024;

const sessionOptions = {
  settings: {
    initialWindowSize: window,
    // A client may have as many calls open as it likes (a wait and an event stream per container).
    maxConcurrentStreams: 2 ** 31 - 1,
  },
  // One stream may be a writer of blobs, in messages of 8 MiB.
  maxSessionMemory: Number.MAX_SAFE_INTEGER,
  // HTTP/2 servers close the connection of a client that resets more than 1000 streams (CVE-2023-44487), which `ctr content get` does:
  // it reads a blob in pieces of 32 KiB, each a call that it leaves. Whoever reaches the socket is root or as good as.
  streamResetBurst: Number.MAX_SAFE_INTEGER,
  streamResetRate: Number.MAX_SAFE_INTEGER,
};

/**
 * Serves services over gRPC on connections that somebody else accepts.
 *
 *   accept(socket) … ──close(ms)──► new calls refused, waiting ones ended, the others given `ms`
 *
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; where that leaves room, this does as grpc-go, which containerd's
 * clients were made with.
 */
export class GrpcServer {
  readonly #services = new Set<string>();
  /** By their paths: `/containerd.services.images.v1.Images/Get`. */
  readonly #methods = new Map<string, BoundMethod>();
  readonly #limits: MessageLimits;
  readonly #sessions = new Map<ServerHttp2Session, Socket>();
  /** Of the running calls those that listen for their end: streams, waits, long work. */
  readonly #running = new Set<GrpcCall>();

  constructor(services: Iterable<Service>, options: GrpcServerOptions = {}) {
    this.#limits = {
      receive: options.maxReceiveMessageSize ?? maximumMessage,
      send: options.maxSendMessageSize ?? maximumMessage,
    };
    for (const { definition, implementation } of services) {
      this.#services.add(definition.fullName);
      for (const [name, method] of bindService(definition, implementation)) {
        this.#methods.set(`/${definition.fullName}/${name}`, method);
      }
    }
  }

  accept(socket: Socket): void {
    const session = performServerHandshake(withWindowRepair(socket, "server"), sessionOptions);
    this.#sessions.set(session, socket);
    // Whatever breaks a connection: its calls hear of it by their streams' end.
    session.on("error", () => {});
    session.on("close", () => {
      this.#sessions.delete(session);
      // A session whose client never spoke leaves its connection open.
      socket.destroySoon();
    });
    const host: CallHost = { limits: this.#limits, running: this.#running, gather: gatherer(socket) };
    session.on("stream", (stream, headers, _flags, raw) => {
      const call = new GrpcCall(stream, { timeout: headers["grpc-timeout"]?.toString(), raw }, host);
      const found = this.#methodOf(headers);
      if ("error" in found) call.refuse(found.error, found.headers);
      else call.serve(found);
    });
  }

  /** Ends what waits (events, exits); lets other calls run for `graceMs`, then drops them. */
  async close(graceMs: number): Promise<void> {
    for (const call of this.#running) call.interrupt(unavailable("the daemon is stopping"));
    // Not what a session says is waited for: one whose client never spoke doesn't tell that it is destroyed.
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, graceMs);
    await Promise.race([Promise.all([...this.#sessions.keys()].map(closed)), late.promise]);
    clearTimeout(timer);
    for (const [session, socket] of this.#sessions) {
      session.destroy();
      socket.destroy();
    }
  }

  #methodOf(headers: IncomingHttpHeaders): BoundMethod | Refusal {
    const { ":method": verb, ":path": path = "", "content-type": type, "grpc-encoding": encoding } = headers;
    if (verb !== "POST") {
      const error = internal(`Received a HEADERS frame with :method "${verb}" which should be POST`);
      return { error, headers: { ":status": 405 } };
    }
    if (!isGrpcContent(type)) {
      return { error: internal(`invalid gRPC request content-type "${type ?? ""}"`), headers: { ":status": 415 } };
    }
    const method = this.#methods.get(path);
    if (method === undefined) return { error: this.#unknown(path) };
    if (encoding !== undefined && encoding !== "identity") {
      const error = unimplemented(`grpc: Decompressor is not installed for grpc-encoding "${encoding}"`);
      return { error, headers: { "grpc-accept-encoding": "identity" } };
    }
    return method;
  }

  #unknown(path: string): HullError {
    const [, service, method] = /^\/?(.+)\/([^/]*)$/.exec(path) ?? [];
    if (service === undefined) return unimplemented(`malformed method name: "${path}"`);
    if (!this.#services.has(service)) return unimplemented(`unknown service ${service}`);
    return unimplemented(`unknown method ${method} for service ${service}`);
  }
}

/** Holds back what is written to a socket until the next turn of the event loop, each time that it is called. */
function gatherer(socket: Socket): () => void {
  let holds = false;
  const release = (): void => {
    holds = false;
    socket.uncork();
  };
  return () => {
    if (holds) return;
    holds = true;
    socket.cork();
    // Behind what the session itself defers to the next turn: the end of a message that is written, upon which the trailers follow.
    process.nextTick(setImmediate, release);
  };
}

function closed(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    session.once("close", resolve);
    session.close();
  });
}
