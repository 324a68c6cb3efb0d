import { isGrpcContent } from "@hull/api/grpc/headers";
import { maximumMessage } from "@hull/api/grpc/message";
import { type BoundMethod, bindService } from "@hull/api/handler";
import { internal, unavailable, unimplemented } from "@hull/errors";
import { Connection, type FieldList, type Stream } from "@hull/http2";
import type { ByteLink } from "@hull/link";
import { type CallHost, GrpcCall, type Refusal } from "./grpc-call.ts";
import type { Service } from "./service.ts";

export interface GrpcServerOptions {
  /** bytes */
  maxReceiveMessageSize?: number;
  maxSendMessageSize?: number;
}

/**
 * Serves services over gRPC on connections that somebody else accepts.
 *
 *   accept(link) … ──close(ms)──► new calls refused, waiting ones ended, the others given `ms`
 *
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; where that leaves room, this does as grpc-go, which containerd's
 * clients were made with.
 */
export class GrpcServer {
  readonly #services = new Set<string>();
  /** By their paths: `/containerd.services.images.v1.Images/Get`. */
  readonly #methods = new Map<string, BoundMethod>();
  readonly #host: CallHost;
  /** Connections, each with what resolves when it has gone. */
  readonly #connections = new Map<Connection, Promise<void>>();

  constructor(services: Iterable<Service>, options: GrpcServerOptions = {}) {
    this.#host = {
      limits: {
        receive: options.maxReceiveMessageSize ?? maximumMessage,
        send: options.maxSendMessageSize ?? maximumMessage,
      },
      running: new Set(),
    };
    for (const { definition, implementation } of services) {
      this.#services.add(definition.fullName);
      for (const [name, method] of bindService(definition, implementation)) {
        this.#methods.set(`/${definition.fullName}/${name}`, method);
      }
    }
  }

  /** Serves one connection; resolves when it has gone. */
  accept(link: ByteLink): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const connection = new Connection("server", link, {
      request: (stream, fields) => this.#serve(stream, fields),
      closed: () => {
        this.#connections.delete(connection);
        resolve();
      },
    });
    this.#connections.set(connection, promise);
    connection.start();
    return promise;
  }

  /** Ends what waits (events, exits); lets other calls run for `graceMs`, then drops them. */
  async close(graceMs: number): Promise<void> {
    for (const call of this.#host.running) call.interrupt(unavailable("the daemon is stopping"));
    const gone = [...this.#connections.values()];
    for (const connection of this.#connections.keys()) connection.shutdown();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, graceMs);
    await Promise.race([Promise.all(gone), late.promise]);
    clearTimeout(timer);
    for (const connection of [...this.#connections.keys()]) connection.destroy();
  }

  #serve(stream: Stream, fields: FieldList): GrpcCall {
    let verb = "";
    let path = "";
    let type: string | undefined;
    let encoding: string | undefined;
    let timeout: string | undefined;
    for (let at = 0; at < fields.length; at += 2) {
      const value = fields[at + 1] ?? "";
      switch (fields[at]) {
        case ":method":
          verb = value;
          break;
        case ":path":
          path = value;
          break;
        case "content-type":
          type = value;
          break;
        case "grpc-encoding":
          encoding = value;
          break;
        case "grpc-timeout":
          timeout = value;
          break;
        default:
      }
    }
    const call = new GrpcCall(stream, fields, this.#host);
    // The connection knows the call only when this returns, and hears nothing until then.
    const found = this.#methodOf(verb, path, type, encoding);
    if ("error" in found) call.refuse(found);
    else call.serve(found, timeout);
    return call;
  }

  #methodOf(verb: string, path: string, type: string | undefined, encoding: string | undefined): BoundMethod | Refusal {
    if (verb !== "POST") {
      return { error: internal(`Received a HEADERS frame with :method "${verb}" which should be POST`), status: "405" };
    }
    if (type !== "application/grpc" && !isGrpcContent(type)) {
      return { error: internal(`invalid gRPC request content-type "${type ?? ""}"`), status: "415" };
    }
    const method = this.#methods.get(path);
    if (method === undefined) return { error: unimplemented(this.#unknown(path)) };
    if (encoding !== undefined && encoding !== "identity") {
      const error = unimplemented(`grpc: Decompressor is not installed for grpc-encoding "${encoding}"`);
      return { error, fields: ["grpc-accept-encoding", "identity"] };
    }
    return method;
  }

  #unknown(path: string): string {
    const [, service, method] = /^\/?(.+)\/([^/]*)$/.exec(path) ?? [];
    if (service === undefined) return `malformed method name: "${path}"`;
    if (!this.#services.has(service)) return `unknown service ${service}`;
    return `unknown method ${method} for service ${service}`;
  }
}
