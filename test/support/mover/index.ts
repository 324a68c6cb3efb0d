/** Programs that move bytes through a streaming server, each in a process and network of its own. See `program.ts`. */

import { join } from "node:path";

export { blockSize, patternChecksum, writePattern } from "./pattern.ts";

/** A client of a URL that Exec, Attach or PortForward gave. */
export interface ClientOptions {
  readonly role: "client";
  readonly url: string;
  readonly kind: "command" | "forward";
  /** `v4.channel.k8s.io` of SPDY, `v5.channel.k8s.io` of WebSocket; forwarding goes as SPDY through either. */
  readonly protocol: "spdy" | "websocket";
  /** Which streams of a command there are. */
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  /** To forward to. */
  readonly port?: number;
  /** So much of the pattern, before the end of the input. */
  readonly send: number;
}

/** A server of one connection, which ends when its client has nothing more to say. */
export interface ServerOptions {
  readonly role: "server";
  readonly port: number;
  readonly work: "echo" | "sink" | "source";
  /** So much of the pattern comes from a source. */
  readonly bytes: number;
}

export type MoverOptions = ClientOptions | ServerOptions;

/** What came. */
export interface Moved {
  readonly bytes: number;
  readonly checksum: number;
  /** What a client was told on the stream of errors. */
  readonly error: string;
  /** From the client's request, or the server's connection, to the end. */
  readonly ms: number;
}

const program = join(import.meta.dir, "program.ts");

/** A mover that runs. */
export interface Mover extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when a server listens. */
  readonly listening: Promise<unknown>;
  /** @throws Error with what it wrote on stderr if it failed */
  readonly moved: Promise<Moved>;
}

/** Starts one behind a command that becomes the one which follows it. */
export function startMover(enter: readonly string[], options: MoverOptions): Mover {
  const child = Bun.spawn([...enter, process.execPath, program, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const listening = Promise.withResolvers<unknown>();
  const moved = (async () => {
    const errors = new Response(child.stderr).text();
    let text = "";
    for await (const bytes of child.stdout) {
      text += Buffer.from(bytes);
      if (text.includes("\n")) listening.resolve(undefined);
    }
    const last = text.trim().split("\n").at(-1) ?? "";
    if ((await child.exited) !== 0) throw new Error(`moving bytes failed: ${await errors}`);
    return JSON.parse(last) as Moved;
  })();
  moved.catch(listening.reject);
  listening.promise.catch(() => {});
  return {
    ...{ pid: child.pid, listening: listening.promise, moved },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
