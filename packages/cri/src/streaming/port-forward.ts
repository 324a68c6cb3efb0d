/** Port-forwarding on a client's connection: each pair of streams is a connection into the pod, and what went wrong with it. */

import { toWireStatus } from "@hull/api/status";
import type { RequestHead } from "./http.ts";
import type { StreamTimeouts } from "./remote-command.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";
import { acceptSpdy } from "./spdy/handshake.ts";
import type { Headers } from "./spdy/headers.ts";
import { type DuplexStream, sendAll } from "./streams.ts";
import { Channels } from "./websocket/channels.ts";
import { acceptWebSocket, asksForWebSocket } from "./websocket/handshake.ts";
import { Tunnel } from "./websocket/tunnel.ts";
import type { Carrier, Wire } from "./wire.ts";

/** Connects a stream to a port of the pod until one of them ends. */
export type Forward = (port: number, stream: DuplexStream, lost: AbortSignal) => Promise<void>;

const protocol = "portforward.k8s.io";
const tunnelPrefix = "SPDY/3.1+";

const webSocketProtocols: ReadonlyMap<string, boolean> = new Map([
  ["", false],
  ["v4.channel.k8s.io", false],
  ["v4.base64.channel.k8s.io", true],
]);

/** Serves forwarding into a pod to a client whose request has been read. @throws HttpProblem */
export async function servePortForward(
  wire: Wire,
  head: RequestHead,
  { podId, ports }: { podId: string; ports: readonly number[] },
  timeouts: StreamTimeouts,
  forward: Forward,
): Promise<void> {
  const forwarder = new Forwarder(podId, timeouts, forward);
  if (!asksForWebSocket(head)) {
    const { answer } = acceptSpdy(head, [protocol]);
    wire.write(answer);
    wire.endWhenIdle(timeouts.idle);
    const connection = forwarder.serve(wire);
    wire.receive((chunk) => connection.push(chunk));
    return;
  }
  const accepted = acceptWebSocket(head, [`${tunnelPrefix}${protocol}`, ...webSocketProtocols.keys()]);
  wire.write(accepted.answer);
  wire.endWhenIdle(timeouts.idle);
  if (accepted.protocol.startsWith(tunnelPrefix)) {
    const tunnel = new Tunnel(wire, (piece) => connection.push(piece));
    const connection = forwarder.serve(tunnel);
    return;
  }
  const base64 = webSocketProtocols.get(accepted.protocol) ?? false;
  const data = ports.map((_, index) => 2 * index);
  const channels = new Channels(wire, { base64, ends: false }, data);
  await Promise.all(ports.map((port, index) => forwarder.forwardChannel(channels, index, port, wire.lost)));
  channels.close();
}

/** The two streams of a connection, as far as they have been opened. */
interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
  timer: ReturnType<typeof setTimeout>;
}

class Forwarder {
  readonly #podId: string;
  readonly #timeouts: StreamTimeouts;
  readonly #forward: Forward;
  /** By the client's names of them, those that aren't complete. */
  readonly #pairs = new Map<string, Pair>();

  constructor(podId: string, timeouts: StreamTimeouts, forward: Forward) {
    this.#podId = podId;
    this.#timeouts = timeouts;
    this.#forward = forward;
  }

  serve(carrier: Carrier): SpdyConnection {
    carrier.lost.addEventListener("abort", () => this.#giveUp(), { once: true });
    return new SpdyConnection(carrier, {
      wants: (headers) => portOf(headers) !== undefined && ["data", "error"].includes(headers.get("streamtype") ?? ""),
      opened: (stream) => this.#add(stream, carrier.lost),
    });
  }

  #giveUp(): void {
    for (const { timer } of this.#pairs.values()) clearTimeout(timer);
    this.#pairs.clear();
  }

  #add(stream: SpdyStream, lost: AbortSignal): void {
    const isData = stream.headers.get("streamtype") === "data";
    // Clients from before there were names open the stream of errors first, then the other.
    const name = stream.headers.get("requestid") || String(isData ? stream.id - 2 : stream.id);
    const pair = this.#pairs.get(name) ?? this.#newPair(name);
    if (!isData) stream.input.discard();
    if ((isData ? pair.data : pair.error) !== undefined) {
      const text = `error processing stream for request ${name}: ${isData ? "data" : "error"} stream already assigned`;
      if (pair.error !== undefined) void sendAll(pair.error, Buffer.from(text)).catch(() => {});
      stream.reset();
      return;
    }
    if (isData) pair.data = stream;
    else pair.error = stream;
    if (pair.data === undefined || pair.error === undefined) return;
    clearTimeout(pair.timer);
    this.#pairs.delete(name);
    void this.#forwardPair(pair.data, pair.error, lost);
  }

  #newPair(name: string): Pair {
    const timer = setTimeout(() => {
      this.#pairs.delete(name);
      const text = `(request=${name}) timed out waiting for streams`;
      if (pair.error !== undefined) void sendAll(pair.error, Buffer.from(text)).catch(() => {});
      pair.error?.end();
      pair.data?.reset();
    }, this.#timeouts.creation);
    const pair: Pair = { timer };
    this.#pairs.set(name, pair);
    return pair;
  }

  async #forwardPair(data: SpdyStream, error: SpdyStream, lost: AbortSignal): Promise<void> {
    const problem = await this.#run(portOf(data.headers) ?? 0, data, lost);
    if (problem !== undefined && !lost.aborted) {
      await sendAll(error, Buffer.from(problem)).catch(() => {});
      error.end();
      data.reset();
    }
    data.end();
    error.end();
    // Whatever the client still sends has nowhere to go.
    data.input.discard();
  }

  async forwardChannel(channels: Channels, index: number, port: number, lost: AbortSignal): Promise<void> {
    const [data, error] = [channels.output(2 * index), channels.output(2 * index + 1)];
    const input = channels.input(2 * index);
    if (input === undefined) return;
    const number = Uint8Array.of(port & 0xff, port >> 8);
    await sendAll(data, number).catch(() => {});
    await sendAll(error, number).catch(() => {});
    const problem = await this.#run(port, { input, output: data }, lost);
    if (problem !== undefined) await sendAll(error, Buffer.from(problem)).catch(() => {});
    input.discard();
  }

  /** What went wrong, if anything. */
  async #run(port: number, stream: DuplexStream, lost: AbortSignal): Promise<string | undefined> {
    try {
      await this.#forward(port, stream, lost);
    } catch (thrown) {
      return `error forwarding port ${port} to pod ${this.#podId}, uid : ${toWireStatus(thrown).message}`;
    }
    return undefined;
  }
}

function portOf(headers: Headers): number | undefined {
  const text = headers.get("port") ?? "";
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port <= 0xffff ? port : undefined;
}
