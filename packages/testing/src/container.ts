import type { Collected, NetworkOption, ProcessOptions, RunningContainer, RunOptions } from "@hull/client";
import { OutputLog } from "./log.ts";
import type { TestNetwork } from "./network.ts";
import type { WaitStrategy } from "./wait.ts";

/** How a container for tests is started. All that `hull.run` takes, but for its output, which is read here. */
export interface StartOptions extends Omit<RunOptions, "stdout" | "stderr" | "log" | "network"> {
  /** TCP ports that are to be reached from here, each by a free port of 127.0.0.1: see `TestContainer.port`. */
  readonly ports?: readonly number[];
  /** All of this has to come about before the container counts as up; being started is enough unless told. */
  readonly wait?: readonly WaitStrategy[];
  /** Milliseconds from its start until that has to have come about: 60,000 unless told. The image may take its time before. */
  readonly timeoutMs?: number;
  /** One of `createNetwork`, or any that `hull.run` takes. `none` unless told, or `bridge` where ports are published. */
  readonly network?: TestNetwork | NetworkOption;
  /** By which others on its `TestNetwork` find it; the first is its host name, too. */
  readonly names?: readonly string[];
}

/** A container that is up. Disposing of it takes it away. */
export class TestContainer implements AsyncDisposable {
  /** As it was asked for. */
  readonly image: string;
  /** The container itself; its output is read already. */
  readonly container: RunningContainer;
  readonly log: OutputLog;
  readonly #end: () => Promise<void>;
  #ended = false;
  #disposed: Promise<void> | undefined;

  /** @param end runs after the container has been taken away */
  constructor(image: string, container: RunningContainer, end: () => Promise<void>) {
    this.image = image;
    this.container = container;
    this.log = new OutputLog(container);
    this.#end = end;
    const ended = (): void => {
      this.#ended = true;
    };
    container.exit.then(ended, ended);
  }

  get id(): string {
    return this.container.id;
  }

  /** Address of this host that published ports are at. */
  get host(): string {
    return "127.0.0.1";
  }

  /** The port of this host that leads to one of the container's. @throws FailedPrecondition if it isn't published */
  port(container: number, protocol: "tcp" | "udp" | "sctp" = "tcp"): number {
    return this.container.port(container, protocol);
  }

  /** What it has said so far, on both streams; the last MiB of it. */
  get output(): string {
    return this.log.text;
  }

  /** Whether its process has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Each line that it says, from the first on, until its output ends or the signal is aborted. */
  lines(signal?: AbortSignal): AsyncIterable<string> {
    return this.log.lines(signal);
  }

  /** Runs a command in it to its end, and gives all that it said. */
  async exec(command: readonly string[], options: Omit<ProcessOptions, "stdout" | "stderr"> = {}): Promise<Collected> {
    await using process = await this.container.exec(command, options);
    return await process.collect();
  }

  /** Takes it away, running or not. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.container[Symbol.asyncDispose]().finally(this.#end);
    await this.#disposed;
  }
}
