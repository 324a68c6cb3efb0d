import type { Side } from "./compare.ts";

/** `ctr events` on one side, running; or another client's. */
export class EventWatch implements AsyncDisposable {
  readonly #side: Side;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #reading: Promise<void>;
  #text = "";
  #onText = () => {};
  #marks = 0;

  private constructor(side: Side, client: readonly string[]) {
    this.#side = side;
    this.#child = Bun.spawn([...client, "--address", side.address, "events"], { stdout: "pipe", stderr: "inherit" });
    this.#reading = this.#read();
  }

  /** Resolves once it is subscribed. */
  static async start(side: Side, client: readonly string[] = ["ctr"]): Promise<EventWatch> {
    const watch = new EventWatch(side, client);
    await watch.mark();
    return watch;
  }

  /** Publishes events of our own until one is shown: all that came before it has been shown then. */
  async mark(): Promise<void> {
    // `ctr events` doesn't say when it is subscribed: only an event can tell.
    for (let tries = 0; tries < 400; tries++) {
      const name = `mark-${this.#marks++}`;
      const shown = this.#shown(new RegExp(`/namespaces/create {"name":"${name}"}`));
      await this.#side.ctr(["namespaces", "create", name]);
      if (await Promise.race([shown, Bun.sleep(100).then(() => false)])) return;
    }
    throw new Error(`${this.#side.name}: events are not shown`);
  }

  /** Lines without their times and without the marks. Ends the watch. */
  async lines(): Promise<string[]> {
    return (await this.printed()).map((line) => this.#side.named(line).replace(/^\S+ \S+ \S+ \S+ /, ""));
  }

  /** Lines as they are, without the marks. Ends the watch. */
  async printed(): Promise<string[]> {
    await this.mark();
    await this[Symbol.asyncDispose]();
    return this.#text
      .trim()
      .split("\n")
      .filter((line) => !/"name":"mark-\d+"/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
    await this.#reading;
  }

  async #shown(pattern: RegExp): Promise<boolean> {
    while (!pattern.test(this.#text)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onText = resolve;
      await promise;
    }
    return true;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.#text += decoder.decode(chunk, { stream: true });
      this.#onText();
    }
  }
}
