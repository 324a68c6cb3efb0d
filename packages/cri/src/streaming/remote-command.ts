/**
 * Exec and attach on a client's connection: its streams are the command's, and a last one tells how it ended.
 *
 *   handshake ──► streams opened by the client (SPDY) or there from the start (WebSocket) ──► command ──► status ──► closed
 */

import type { RequestHead } from "./http.ts";
import { readSizes } from "./resize.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";
import { acceptSpdy } from "./spdy/handshake.ts";
import { exitStatus, failureStatus, type Status } from "./status.ts";
import { type CommandStreams, type Output, sendAll } from "./streams.ts";
import { Channels } from "./websocket/channels.ts";
import { acceptWebSocket, asksForWebSocket } from "./websocket/handshake.ts";
import type { Wire } from "./wire.ts";

/** What a client asked for. */
export interface CommandOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Bounds of connections in milliseconds. */
export interface StreamTimeouts {
  /** Without a byte either way; 0: none. */
  readonly idle: number;
  /** From the handshake until the client has opened its streams. */
  readonly creation: number;
}

/** Streams of a client that is connected. */
interface Session {
  readonly streams: CommandStreams;
  /** Tells how the command ended. */
  report(status: Status): Promise<void>;
  close(): void;
}

/** What a command does with its streams. Resolves to its exit code; an attached one has none. */
export type Command = (streams: CommandStreams, lost: AbortSignal) => Promise<number | undefined>;

/** By which protocol of SPDY is what there. */
const spdyProtocols: ReadonlyMap<string, { resize: boolean; json: boolean; first?: boolean }> = new Map([
  ["v4.channel.k8s.io", { resize: true, json: true }],
  ["v3.channel.k8s.io", { resize: true, json: false }],
  ["v2.channel.k8s.io", { resize: false, json: false }],
  ["channel.k8s.io", { resize: false, json: false, first: true }],
]);

const webSocketProtocols: ReadonlyMap<string, { base64: boolean; ends: boolean; json: boolean }> = new Map([
  ["", { base64: false, ends: false, json: false }],
  ["channel.k8s.io", { base64: false, ends: false, json: false }],
  ["base64.channel.k8s.io", { base64: true, ends: false, json: false }],
  ["v4.channel.k8s.io", { base64: false, ends: false, json: true }],
  ["v4.base64.channel.k8s.io", { base64: true, ends: false, json: true }],
  ["v5.channel.k8s.io", { base64: false, ends: true, json: true }],
]);

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/**
 * Serves a command to a client whose request has been read. Resolves when all has been said.
 *
 * @param what begins the text of a failure
 * @throws HttpProblem for a request that asks for no protocol that is known
 */
export async function serveCommand(
  wire: Wire,
  head: RequestHead,
  options: CommandOptions,
  timeouts: StreamTimeouts,
  { what, args, run }: { what: string; args: readonly string[]; run: Command },
): Promise<void> {
  const session = asksForWebSocket(head)
    ? openWebSocket(wire, head, options, timeouts)
    : await openSpdy(wire, head, options, timeouts);
  if (session === undefined) return;
  let status: Status;
  try {
    status = exitStatus(args, (await run(session.streams, wire.lost)) ?? 0);
  } catch (error) {
    status = failureStatus(what, error);
  }
  // To a client that has gone there is nothing to tell.
  if (!wire.lost.aborted) await session.report(status).catch(() => {});
  session.close();
}

function openWebSocket(wire: Wire, head: RequestHead, options: CommandOptions, { idle }: StreamTimeouts): Session {
  const { protocol, answer } = acceptWebSocket(head, [...webSocketProtocols.keys()]);
  const format = webSocketProtocols.get(protocol) ?? { base64: false, ends: false, json: false };
  wire.write(answer);
  wire.endWhenIdle(idle);
  const inputs = [...(options.stdin ? [channels.stdin] : []), channels.resize];
  const connection = new Channels(wire, format, inputs);
  const first = options.stdout ? channels.stdout : options.stderr ? channels.stderr : channels.error;
  connection.announce(first);
  const resize = connection.input(channels.resize);
  return {
    streams: {
      stdin: connection.input(channels.stdin),
      stdout: options.stdout ? connection.output(channels.stdout) : undefined,
      stderr: options.stderr ? connection.output(channels.stderr) : undefined,
      resize: resize && readSizes(resize),
    },
    report: (status) => report(connection.output(channels.error), status, format.json),
    close: () => connection.close(),
  };
}

async function report(to: Output, status: Status, json: boolean): Promise<void> {
  const text = json ? JSON.stringify(status) : (status.message ?? "");
  if (text !== "") await sendAll(to, Buffer.from(text));
  to.end();
}

/** Undefined if the client doesn't open its streams in time, or goes. */
async function openSpdy(
  wire: Wire,
  head: RequestHead,
  options: CommandOptions,
  { idle, creation }: StreamTimeouts,
): Promise<Session | undefined> {
  const { protocol, answer } = acceptSpdy(head, [...spdyProtocols.keys()]);
  const { resize, json, first = false } = spdyProtocols.get(protocol) ?? { resize: false, json: false };
  const missing = new Set(["error"]);
  if (options.stdin) missing.add("stdin");
  if (options.stdout) missing.add("stdout");
  if (options.stderr) missing.add("stderr");
  if (options.tty && resize) missing.add("resize");
  const streams = new Map<string, SpdyStream>();
  const complete = Promise.withResolvers<void>();
  const connection = new SpdyConnection(wire, {
    wants: (headers) => {
      const type = headers.get("streamtype") ?? "";
      return ["error", "stdin", "stdout", "stderr", "resize"].includes(type) && !streams.has(type);
    },
    opened: (stream) => {
      const type = stream.headers.get("streamtype") ?? "";
      streams.set(type, stream);
      // What nobody will read must not hold up the others.
      if (!missing.delete(type) || !(type === "stdin" || type === "resize")) stream.input.discard();
      if (missing.size === 0) complete.resolve();
    },
  });
  wire.write(answer);
  wire.receive((chunk) => connection.push(chunk));
  wire.endWhenIdle(idle);
  wire.lost.addEventListener("abort", () => complete.resolve(), { once: true });
  const timer = setTimeout(() => complete.resolve(), creation);
  await complete.promise;
  clearTimeout(timer);
  const error = streams.get("error");
  if (missing.size > 0 || error === undefined) {
    connection.close();
    return undefined;
  }
  if (first) {
    // The first version had no use for these directions.
    streams.get("stdin")?.end();
    error.reset();
  }
  const sizes = streams.get("resize")?.input;
  return {
    streams: {
      stdin: options.stdin ? streams.get("stdin")?.input : undefined,
      stdout: options.stdout ? streams.get("stdout") : undefined,
      stderr: options.stderr ? streams.get("stderr") : undefined,
      resize: sizes && readSizes(sizes),
    },
    report: (status) => report(error, status, json),
    close: () => connection.close(),
  };
}
