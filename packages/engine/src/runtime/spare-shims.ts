/**
 * Spares of hull's own shim: started ahead of need, so that no process start and no module loading is on a container's way.
 *
 *   started ──► spare ──take──► assigned ──giveBack──► spare …
 *                 └── stop, the end of a rush, or its daemon's end ──► (gone)
 *
 * A shim learns on its standard input whom it works for, and that it is released. While it is assigned, the end of that input means nothing
 * to it: it outlives the daemon. A spare ends with the daemon.
 */

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HullError, unavailable } from "@hull/errors";
import { type Program, startProgram } from "@hull/sys/program";
import type { RuntimeDirectories } from "./bundle.ts";
import { connectShim, type ShimConnection } from "./shim-connection.ts";

/** A shim's process that this daemon started. */
export interface SpareShim extends ShimConnection {
  readonly pid: number;
  readonly input: { write(text: string): unknown; flush(): unknown; end(): unknown };
  /** How many containers, or groups of them, it has served. */
  uses: number;
}

/** Options of the pool. */
export interface SpareOptions {
  /** Command line that leads to the shim. */
  command: readonly string[];
  /** How many are kept ready; 0 starts each when it is needed. */
  count: number;
  directories: RuntimeDirectories;
}

/** After so many containers, or groups of them, a process has earned its rest: whatever it may have leaked goes with it. */
export const maximumUses = 200;
/**
 * A new spare is started when no shim has been taken for so long: starting one takes as much of the processor as a whole container does, and
 * a container that is over soon gives its shim back.
 */
const refillMs = 500;
/** How many more than `count` are kept when they come back, */
const surplus = 2;
/** and how many more for a moment, until no shim has come or gone for so long: many containers at a time follow each other without a start. */
const rush = { surplus: 16, ms: 2000 };

/**
 * How the JavaScript engine is to run in a shim, which does little and waits long: without the compilers and threads that make long work
 * faster, it takes half a megabyte less. Options of JavaScriptCore (Source/JavaScriptCore/runtime/OptionsList.h).
 */
const frugal = {
  BUN_JSC_useBaselineJIT: "0",
  BUN_JSC_useDFGJIT: "0",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_useConcurrentJIT: "0",
  // The shim tidies up itself when it comes to rest. The runtime would wake three times a second to see whether there is something to collect.
  BUN_GC_TIMER_DISABLE: "1",
  // The allocator gives memory back at once instead of keeping a thread for it.
  MIMALLOC_PURGE_DELAY: "0",
};

/** The pool. */
export class SpareShims {
  readonly #options: SpareOptions;
  readonly #spares: SpareShim[] = [];
  readonly #socketDirectory: string;
  #refilling: ReturnType<typeof setTimeout> | undefined;
  #calming: ReturnType<typeof setTimeout> | undefined;
  /** What is being started, until it is kept, taken or ended. */
  readonly #starting = new Map<Program, Promise<SpareShim>>();
  #stopped = false;

  constructor(options: SpareOptions) {
    this.#options = options;
    const near = join(options.directories.state, "s");
    // A unix socket's path has room for 107 bytes.
    this.#socketDirectory =
      near.length < 80 ? near : join(tmpdir(), `hull-${createHash("sha256").update(near).digest("hex").slice(0, 16)}`);
  }

  /** A shim that is this caller's; assigned to the namespace by the time it reads its next request. @throws Unavailable, when stopped too */
  async take(namespace: string, eventsAddress: string): Promise<SpareShim> {
    if (this.#stopped) throw stopping();
    const shim = this.#spares.shift() ?? (await this.#start());
    await shim.input.write(`${JSON.stringify({ namespace, eventsAddress })}\n`);
    await shim.input.flush();
    this.#refillLater();
    return shim;
  }

  /**
   * Takes a shim back that has no container any more.
   *
   * @param served how many containers, or groups of them, it has served since it was taken
   * @returns false if it is not wanted, and is to be shut down
   */
  giveBack(shim: SpareShim, served: number): boolean {
    const { count } = this.#options;
    shim.uses += served;
    if (this.#stopped || count === 0 || shim.uses >= maximumUses || this.#spares.length >= count + rush.surplus)
      return false;
    void shim.input.write("\n");
    void shim.input.flush();
    this.#keep(shim);
    if (this.#spares.length > count + surplus) this.#calmDownLater();
    return true;
  }

  /** Starts what is missing. */
  async fill(): Promise<void> {
    while (!this.#stopped && this.#spares.length + this.#starting.size < this.#options.count)
      this.#keep(await this.#start());
  }

  /** Ends the spares, and those that were being started. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#refilling);
    clearTimeout(this.#calming);
    for (const { stdin } of this.#starting.keys()) void stdin.end();
    // Spares don't keep this process running, but the wait for their end has to.
    const running = setInterval(() => {}, 2 ** 30);
    await Promise.all([...this.#spares.splice(0).map(end), Promise.allSettled(this.#starting.values())]);
    clearInterval(running);
  }

  /** Ends those that a rush has left. */
  #calmDownLater(): void {
    clearTimeout(this.#calming);
    this.#calming = setTimeout(() => {
      void Promise.all(this.#spares.splice(this.#options.count + surplus).map(end));
    }, rush.ms);
    this.#calming.unref();
  }

  #keep(shim: SpareShim): void {
    this.#spares.push(shim);
    void shim.connection.closed.then(() => {
      const index = this.#spares.indexOf(shim);
      if (index !== -1) this.#spares.splice(index, 1);
    });
  }

  #refillLater(): void {
    clearTimeout(this.#refilling);
    this.#refilling = setTimeout(() => {
      // A spare that can't be started is missed, and complained of, by the next create.
      this.fill().catch(() => {});
    }, refillMs);
    this.#refilling.unref();
  }

  /** @throws Unavailable if it can't be started, or is no longer wanted */
  async #start(): Promise<SpareShim> {
    mkdirSync(this.#socketDirectory, { recursive: true, mode: 0o711 });
    const socket = join(this.#socketDirectory, crypto.randomUUID().slice(0, 18));
    const argv = [...this.#options.command, "-socket", socket, "spare"];
    const env = { ...process.env, ...frugal };
    const child = startProgram(argv, { cwd: "/", env, stdio: ["pipe", "pipe", "ignore"], detached: true });
    child.unref();
    const started = this.#greet(child, socket);
    this.#starting.set(child, started);
    try {
      return await started;
    } finally {
      this.#starting.delete(child);
    }
  }

  async #greet(child: Program, socket: string): Promise<SpareShim> {
    await ready(child);
    if (this.#stopped) throw stopping();
    const bootstrap = { version: 3, address: `unix://${socket}`, protocol: "ttrpc" };
    const shim = { ...(await connectShim(bootstrap)), pid: child.pid, input: child.stdin, uses: 0 };
    if (!this.#stopped) return shim;
    await end(shim);
    throw stopping();
  }
}

const stopping = (): HullError => unavailable("no shims are started any more: hull is being stopped");

/** The end of its input tells a spare that nobody needs it. */
async function end({ input, connection }: SpareShim): Promise<void> {
  void input.end();
  await connection.close();
}

/** Waits until it listens. @throws Unavailable if it ends before */
async function ready(child: Program): Promise<void> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  if (value === undefined)
    throw unavailable(`the shim's process ended with status ${await child.exited} before it listened`);
}
