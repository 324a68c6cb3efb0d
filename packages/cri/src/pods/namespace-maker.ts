import { HullError } from "@hull/errors";
import { type Program, startProgram } from "@hull/sys/program";
import { linesOf } from "@hull/sys/stream";
import type { PodNamespaces } from "../model.ts";
import { doRequest, type NamespaceAnswer, type NamespaceRequest } from "./namespace-helper.ts";
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

  /** Lets the helper end, if there is one, once it is done. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#letGo();
  }

  async #do(request: NamespaceRequest, beforeAgain: () => void): Promise<void> {
    if (this.#helper === undefined && this.#spentLately() < fewMs) return await this.#doHere(request);
    const helper = this.#find();
    let answer: NamespaceAnswer | undefined;
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
  readonly #asked: ((answer: NamespaceAnswer | undefined) => void)[] = [];
  #gone = false;

  /** @throws Error if it can't be started */
  constructor(command: readonly string[]) {
    this.#program = startProgram(command, { cwd: "/", stdio: ["pipe", "pipe", 2] });
    this.#program.unref();
    void this.#hear();
  }

  /** Gives undefined if the helper ended before it answered. */
  ask(request: NamespaceRequest): Promise<NamespaceAnswer | undefined> {
    if (this.#gone) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<NamespaceAnswer | undefined>();
    this.#asked.push(resolve);
    this.#write(`${JSON.stringify(request)}\n`).catch(() => this.#lose());
    return promise;
  }

  end(): void {
    void this.#program.stdin.end();
  }

  async #write(line: string): Promise<void> {
    await this.#program.stdin.write(line);
    await this.#program.stdin.flush();
  }

  async #hear(): Promise<void> {
    try {
      for await (const line of linesOf(this.#program.stdout)) this.#asked.shift()?.(JSON.parse(line));
    } finally {
      this.#lose();
    }
  }

  #lose(): void {
    this.#gone = true;
    for (const resolve of this.#asked.splice(0)) resolve(undefined);
  }
}
