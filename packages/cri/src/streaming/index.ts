/**
 * The streaming server: exec, attach and port-forward.
 *
 *   execUrl(request) ──► http://address/exec/<token> ── a client connects, once, within a minute ──► host.exec(request, streams)
 *
 * The CRI's calls check a request and answer with a URL; the kubelet or `crictl` connects there and speaks SPDY/3.1 or WebSocket. What
 * streams carry is held back both ways by whoever is slower: of each no more than some hundred KiB are ever kept here.
 */

import type {
  AttachRequest,
  AttachResponse,
  ExecRequest,
  ExecResponse,
  PortForwardRequest,
  PortForwardResponse,
} from "@hull/api/gen/cri/v1/cri";
import { type Logger, silent } from "@hull/engine/log";
import { HullError, invalidArgument } from "@hull/errors";
import { type ByteLink, type KeyPair, type LinkListener, linkFactory } from "@hull/link";
import { type KeepAlive, keepAlive } from "@hull/sys/tcp";
import { HttpProblem, maximumHead, parseHead, type RequestHead } from "./http.ts";
import { firstHostAddress } from "./key-pair.ts";
import { servePortForward } from "./port-forward.ts";
import { type StreamTimeouts, serveCommand } from "./remote-command.ts";
import type { CommandStreams, DuplexStream } from "./streams.ts";
import { Tokens } from "./tokens.ts";
import { Wire } from "./wire.ts";

export type { CommandStreams, DuplexStream, Input, Output, TerminalSize } from "./streams.ts";

/** Who does what clients ask for. `lost` is aborted when the client has gone. */
export interface StreamingHost {
  /** Runs a command in a container. Resolves to its exit code, when it has ended and its output has gone. */
  exec(request: ExecRequest, streams: CommandStreams, lost: AbortSignal): Promise<number>;
  /** Connects a client to a container's first process. Resolves when that has ended, or the client has. */
  attach(request: AttachRequest, streams: CommandStreams, lost: AbortSignal): Promise<void>;
  /** Connects a stream to a port inside a pod. Resolves when either side has ended it. */
  portForward(podId: string, port: number, stream: DuplexStream, lost: AbortSignal): Promise<void>;
}

/** Where and how to serve. */
export interface StreamingOptions {
  readonly host: StreamingHost;
  /** Address to listen at; empty: the host's first. */
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  readonly tls?: KeyPair;
  /** Default: 4 hours without a byte, 30 seconds until the streams are there. */
  readonly timeouts?: Partial<StreamTimeouts>;
  readonly log?: Logger;
}

type Waiting =
  | { kind: "exec"; request: ExecRequest }
  | { kind: "attach"; request: AttachRequest }
  | { kind: "portforward"; request: PortForwardRequest };

const defaultTimeouts: StreamTimeouts = { idle: 4 * 60 * 60 * 1000, creation: 30_000 };
/** How long a client may take to say what it wants. */
const headTimeoutMs = 30_000;
/** As Go's servers have it: a client that vanishes without a word is found out after two and a half minutes at most. */
const clientsKeepAlive: KeepAlive = { idle: 15, interval: 15, count: 9 };
const endOfHead = Buffer.from("\r\n\r\n");

/** See the top of this file. */
export class StreamingServer {
  readonly #host: StreamingHost;
  readonly #timeouts: StreamTimeouts;
  readonly #log: Logger;
  readonly #baseUrl: string;
  readonly #listener: LinkListener;
  readonly #tokens = new Tokens<Waiting>();
  readonly #wires = new Set<Wire>();

  private constructor(options: StreamingOptions, listener: LinkListener) {
    this.#host = options.host;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#log = options.log ?? silent;
    this.#listener = listener;
    const { address } = options;
    const authority = `${address.includes(":") ? `[${address}]` : address}:${listener.port}`;
    this.#baseUrl = `${options.tls ? "https" : "http"}://${authority}`;
  }

  /** Begins to serve. @throws the system's error if nobody can listen there */
  static async start(options: StreamingOptions): Promise<StreamingServer> {
    const { listen } = await linkFactory();
    const { address: given, port, tls } = options;
    const address = given === "" ? firstHostAddress() : given;
    const listener = await listen({ host: address, port, tls }, (link, peer) => {
      if (peer.fd >= 0) keepAlive(peer.fd, clientsKeepAlive);
      server.#accept(link);
    });
    const server = new StreamingServer({ ...options, address }, listener);
    return server;
  }

  /** Where a command can be run once. The container must have been found running. @throws InvalidArgument, ResourceExhausted */
  execUrl(request: ExecRequest): ExecResponse {
    checkCommand(request, "one of stdin, stdout, or stderr must be set");
    return { url: this.#urlOf({ kind: "exec", request }) };
  }

  /** Where the container's first process can be attached to, once. @throws InvalidArgument, ResourceExhausted */
  attachUrl(request: AttachRequest): AttachResponse {
    checkCommand(request, "one of stdin, stdout, and stderr must be set");
    return { url: this.#urlOf({ kind: "attach", request }) };
  }

  /** Where connections into the pod can be made, by one client. @throws InvalidArgument, ResourceExhausted */
  portForwardUrl(request: PortForwardRequest): PortForwardResponse {
    if (request.podSandboxId === "") throw invalidArgument("missing required pod_sandbox_id");
    return { url: this.#urlOf({ kind: "portforward", request }) };
  }

  #urlOf(waiting: Waiting): string {
    return `${this.#baseUrl}/${waiting.kind}/${this.#tokens.insert(waiting)}`;
  }

  /** Serves no more, and ends all streams. */
  close(): void {
    this.#listener.stop();
    for (const wire of this.#wires) wire.destroy();
  }

  #accept(link: ByteLink): void {
    const wire = new Wire(link);
    this.#wires.add(wire);
    const timer = setTimeout(() => wire.destroy(), headTimeoutMs);
    const gone = (): void => {
      clearTimeout(timer);
      this.#wires.delete(wire);
    };
    wire.lost.addEventListener("abort", gone, { once: true });
    let head: Buffer = Buffer.alloc(0);
    wire.receive((chunk) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(endOfHead);
      if (end === -1 && head.length <= maximumHead) return;
      clearTimeout(timer);
      wire.receive(() => {});
      this.#serve(wire, head.subarray(0, Math.max(end, 0))).catch((thrown: unknown) => this.#refuse(wire, thrown));
      // Whoever serves has set a receiver by now.
      if (end !== -1) wire.feed(head.subarray(end + endOfHead.length));
    });
    wire.start();
  }

  async #serve(wire: Wire, bytes: Buffer): Promise<void> {
    if (bytes.length === 0) throw new HttpProblem(431, "request header fields too large");
    const head = parseHead(bytes.toString("latin1"));
    const waiting = this.#consume(head);
    switch (waiting.kind) {
      case "exec": {
        const { request } = waiting;
        return await serveCommand(wire, head, request, this.#timeouts, {
          what: "error executing command in container",
          args: request.cmd,
          run: (streams, lost) => this.#host.exec(request, streams, lost),
        });
      }
      case "attach": {
        const { request } = waiting;
        return await serveCommand(wire, head, request, this.#timeouts, {
          what: "error attaching to container",
          args: [],
          run: async (streams, lost) => {
            await this.#host.attach(request, streams, lost);
            return 0;
          },
        });
      }
      case "portforward": {
        const { podSandboxId: podId, port: ports } = waiting.request;
        return await servePortForward(wire, head, { podId, ports }, this.#timeouts, (port, stream, lost) =>
          this.#host.portForward(podId, port, stream, lost),
        );
      }
    }
  }

  #consume({ method, path }: RequestHead): Waiting {
    const [, kind, token] = /^\/(exec|attach|portforward)\/([^/]+)$/.exec(path) ?? [];
    if (kind === undefined || token === undefined) throw new HttpProblem(404, "404: Page Not Found");
    if (method !== "GET" && method !== "POST")
      throw new HttpProblem(405, "405: Method Not Allowed", [["Allow", "GET, POST"]]);
    const waiting = this.#tokens.consume(token);
    if (waiting?.kind !== kind) throw new HttpProblem(404, "404 page not found");
    return waiting;
  }

  #refuse(wire: Wire, thrown: unknown): void {
    if (wire.lost.aborted) return;
    const { code, message } = HullError.from(thrown);
    const problem =
      thrown instanceof HttpProblem ? thrown : new HttpProblem(code === "invalidArgument" ? 400 : 500, message);
    this.#log.log("debug", "a request for a stream was refused", { status: problem.status, error: problem.message });
    wire.write(problem.answer);
    wire.close();
  }
}

function checkCommand(
  request: Pick<ExecRequest, "containerId" | "tty" | "stdin" | "stdout" | "stderr">,
  noStream: string,
): void {
  const { containerId, tty, stdin, stdout, stderr } = request;
  if (containerId === "") throw invalidArgument("missing required container_id");
  if (tty && stderr) throw invalidArgument("tty and stderr cannot both be true");
  if (!stdin && !stdout && !stderr) throw invalidArgument(noStream);
}
