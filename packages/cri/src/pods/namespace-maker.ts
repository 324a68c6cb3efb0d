import { type PluginEnd, type PluginRun, runPlugin } from "@hull/cni";
import { HullError, unavailable } from "@hull/errors";
import { type Program, startProgram } from "@hull/sys/program";
import { linesOf } from "@hull/sys/stream";
import type { PodNamespaces } from "../model.ts";
import { doRequest, type HelperAnswer, type HelperRequest, type NamespaceRequest } from "./namespace-helper.ts";
import { type NamespacePlan, releasePodNamespaces } from "./namespaces.ts";

/** ms of such work in this process, within `spanMs`, after which a helper does it. */
const fewMs = 5;
const spanMs = 200;
/** ms after which a helper that nobody needed ends. */
const idleMs = 10_000;

/**
 * Makes and takes down pods' namespaces without keeping the daemon from its other work.
 *
 * The kernel has one lock for all that changes networks. While it is free, to make a namespace takes a millisecond or two, and is done here;
 * with many pods at a time, whose networks CNI's plugins make meanwhile, each waits for it for tens of milliseconds. So as soon as more
 * than a little comes together, a helper process does it, and ends when no more comes.
 *
 * While it is there it runs the plugins as well: who starts a program waits until the child has begun, which on a machine that many pods
 * keep busy takes tens of milliseconds.
 */
export class NamespaceMaker implements Disposable {
  readonly #command: () => readonly string[];
  readonly #spent: { readonly at: number; readonly ms: number }[] = [];
  #helper: Helper | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param command what starts `namespaceHelperMain` */
  constructor(command: () => readonly string[]) {
    this.#command = command;
  }

  /** As `createPodNamespaces`. If it fails nothing is left. */
  async create(plan: NamespacePlan): Promise<void> {
    // What a helper that was killed has made a part of is taken down first.
    await this.#do({ create: plan }, () => releasePodNamespaces(plan.paths));
  }

  /** As `releasePodNamespaces`. */
  async release(paths: PodNamespaces): Promise<void> {
    await this.#do({ release: paths }, () => {});
  }

  /** As `runPlugin`. @throws Unavailable if the helper has ended before the plugin: nobody knows what it did */
  async run({ signal, ...run }: PluginRun): Promise<PluginEnd> {
    const helper = this.#helper;
    if (helper === undefined || !helper.works) return await runPlugin({ ...run, signal });
    signal?.throwIfAborted();
    let answer: HelperAnswer | undefined;
    try {
      answer = await helper.ask({ run }, signal);
    } finally {
      this.#idle?.refresh();
    }
    signal?.throwIfAborted();
    if (answer?.error !== undefined) throw new HullError(answer.error.code, answer.error.message);
    if (answer?.ended === undefined)
      throw unavailable(`"${run.path}" was run by a process that has ended: what it did isn't known`);
    return answer.ended;
  }

  /** Lets the helper end, if there is one, once it is done. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#letGo();
  }

  async #do(request: NamespaceRequest, beforeAgain: () => void): Promise<void> {
    if (this.#helper === undefined && this.#spentLately() < fewMs) return await this.#doHere(request);
    const helper = this.#find();
    let answer: HelperAnswer | undefined;
    try {
      answer = await helper?.ask(request);
    } finally {
      this.#idle?.refresh();
    }
    if (answer === undefined) {
      if (this.#helper === helper) this.#letGo();
      beforeAgain();
      return await this.#doHere(request);
    }
    if (answer.error !== undefined) throw new HullError(answer.error.code, answer.error.message);
  }

  async #doHere(request: NamespaceRequest): Promise<void> {
    const began = performance.now();
    try {
      await doRequest(request);
    } finally {
      const at = performance.now();
      this.#spent.push({ at, ms: at - began });
    }
  }

  #spentLately(): number {
    const since = performance.now() - spanMs;
    while ((this.#spent[0]?.at ?? since) < since) this.#spent.shift();
    return this.#spent.reduce((sum, { ms }) => sum + ms, 0);
  }

  /** Undefined where none can be started. */
  #find(): Helper | undefined {
    if (this.#helper !== undefined || this.#closed) return this.#helper;
    try {
      this.#helper = new Helper(this.#command());
    } catch {
      return undefined;
    }
    this.#idle = setTimeout(() => this.#letGo(), idleMs);
    this.#idle.unref();
    return this.#helper;
  }

  #letGo(): void {
    clearTimeout(this.#idle);
    this.#helper?.end();
    this.#helper = undefined;
  }
}

/** The process, and what it was asked. */
class Helper {
  readonly #program: Program;
  /** By the number that stands in the question and the answer. */
  readonly #asked = new Map<number, (answer: HelperAnswer | undefined) => void>();
  #last = 0;
  #gone = false;
  #works = false;

  /** @throws Error if it can't be started */
  constructor(command: readonly string[]) {
    this.#program = startProgram(command, { cwd: "/", stdio: ["pipe", "pipe", 2] });
    this.#program.unref();
    void this.#hear();
  }

  /** It has answered before, and hasn't ended. */
  get works(): boolean {
    return this.#works && !this.#gone;
  }

  /** Gives undefined if the helper ended before it answered. The signal ends a plugin. */
  async ask(request: HelperRequest, signal?: AbortSignal): Promise<HelperAnswer | undefined> {
    if (this.#gone) return undefined;
    const id = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<HelperAnswer | undefined>();
    this.#asked.set(id, resolve);
    const abort = () => this.#write(id, { abort: true });
    signal?.addEventListener("abort", abort, { once: true });
    this.#write(id, request);
    return await promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  end(): void {
    void this.#program.stdin.end();
  }

  #write(id: number, request: HelperRequest): void {
    this.#send(`${JSON.stringify({ id, ...request })}\n`).catch(() => this.#lose());
  }

  async #send(line: string): Promise<void> {
    await this.#program.stdin.write(line);
    await this.#program.stdin.flush();
  }

  async #hear(): Promise<void> {
    try {
      for await (const line of linesOf(this.#program.stdout)) {
        const { id, ...answer } = JSON.parse(line) as HelperAnswer & { readonly id: number };
        this.#works = true;
        this.#asked.get(id)?.(answer);
        this.#asked.delete(id);
      }
    } finally {
      this.#lose();
    }
  }

  #lose(): void {
    this.#gone = true;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const resolve of asked) resolve(undefined);
  }
}
