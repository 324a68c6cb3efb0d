import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import type { Host, Program, ProgramOptions } from "./index.ts";

export const host: Host = { startProgram, which, hash32 };

function startProgram(argv: readonly string[], options: ProgramOptions): Program {
  const [name = "", ...args] = argv;
  const { stdio, cwd, env, detached, signal } = options;
  const [input] = stdio;
  // Node tells of a program that isn't there when it is too late to throw.
  requireProgram(name, { cwd, path: (env ?? process.env).PATH });
  const child = spawn(name, args, {
    stdio: stdio.map((one) => (one instanceof Uint8Array ? "pipe" : one)),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...env } }),
    ...(detached === undefined ? {} : { detached }),
  });
  const { pid = -1 } = child;
  const { promise: exited, resolve: ended } = Promise.withResolvers<number>();
  child.once("exit", (code, by) => ended(code ?? 128 + (by === null ? 0 : osConstants.signals[by])));
  child.once("error", () => ended(127));
  // A reader who has gone is no error of this process's.
  child.stdin?.on("error", () => {});
  if (input instanceof Uint8Array) child.stdin?.end(input);
  const kill = (by: NodeJS.Signals = "SIGTERM"): void => void child.kill(by);
  const abort = () => kill("SIGTERM");
  signal?.addEventListener("abort", abort);
  void exited.then(() => signal?.removeEventListener("abort", abort));
  return {
    pid,
    stdin: {
      write: (bytes) => void child.stdin?.write(bytes),
      flush: () => {},
      end: () => void child.stdin?.end(),
    },
    stdout: webStream(child.stdout),
    stderr: webStream(child.stderr),
    exited,
    get exitCode() {
      return child.exitCode;
    },
    get signalCode() {
      return child.signalCode;
    },
    kill,
    unref() {
      child.unref();
      for (const stream of [child.stdin, child.stdout, child.stderr]) unref(stream);
    },
  };
}

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;

function webStream(stream: Readable | null): Bytes {
  const readable = stream ?? Readable.from([]);
  return Readable.toWeb(readable) as NodeReadableStream as unknown as Bytes;
}

/** Pipes are sockets, which hold the process too; the types don't know. */
function unref(stream: unknown): void {
  if (typeof stream === "object" && stream !== null && "unref" in stream && typeof stream.unref === "function")
    stream.unref();
}

function requireProgram(name: string, { cwd, path }: { cwd: string | undefined; path: string | undefined }): void {
  if (cwd !== undefined) statSync(cwd);
  if (name.includes("/")) accessSync(resolve(cwd ?? "/", name), constants.X_OK);
  else if (find(name, path) === null)
    throw Object.assign(new Error(`spawn ${name} ENOENT`), { code: "ENOENT", errno: -osConstants.errno.ENOENT });
}

function which(name: string): string | null {
  if (name.includes("/")) return isProgram(name) ? name : null;
  return find(name, process.env.PATH);
}

function find(name: string, path = "/usr/local/bin:/bin:/usr/bin"): string | null {
  for (const directory of path.split(":")) {
    const candidate = join(directory, name);
    if (isAbsolute(candidate) && isProgram(candidate)) return candidate;
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/, with the bits mixed at the end as of MurmurHash3. */
function hash32(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1);
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
