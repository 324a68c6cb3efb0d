import { close, setNonBlocking } from "@hull/sys/fd";
import { readStream, writeAll } from "@hull/sys/stream";
import { openTerminal, setTerminalSize, type TerminalSize } from "@hull/sys/terminal";

/** A program that runs on a terminal of a test's own. */
export interface OnTerminal extends Disposable {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Types keys. */
  type(keys: string): Promise<void>;
  /** Waits until the screen has shown something new that matches. @throws Error with all of it after 20 s */
  shows(pattern: RegExp): Promise<void>;
  resize(size: TerminalSize): void;
  /** All that was written so far. */
  text(): string;
}

/** Starts a program on a new terminal. */
export function runOnTerminal(
  command: readonly string[],
  options: { size?: TerminalSize; env?: Record<string, string | undefined> } = {},
): OnTerminal {
  const { controller, peer } = openTerminal();
  setTerminalSize(peer, options.size ?? { columns: 80, rows: 24 });
  setNonBlocking(controller, true);
  const child = Bun.spawn([...command], {
    stdio: [peer, peer, peer],
    env: { ...process.env, TERM: "xterm", ...options.env },
  });
  close(peer);
  let text = "";
  let seen = 0;
  let changed = Promise.withResolvers<void>();
  const stop = new AbortController();
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of readStream(controller, { signal: stop.signal })) {
      text += decoder.decode(chunk, { stream: true });
      changed.resolve();
      changed = Promise.withResolvers();
    }
  })();
  reading.catch(() => {});
  return {
    pid: child.pid,
    exited: child.exited,
    type: (keys) => writeAll(controller, new TextEncoder().encode(keys)),
    async shows(pattern) {
      const late = AbortSignal.timeout(20_000);
      for (;;) {
        const found = pattern.exec(text.slice(seen));
        if (found !== null) {
          seen += found.index + found[0].length;
          return;
        }
        const next = await Promise.race([
          changed.promise.then(() => true),
          new Promise<false>((resolve) => late.addEventListener("abort", () => resolve(false), { once: true })),
        ]);
        if (!next || late.aborted) throw new Error(`the terminal did not show ${pattern}:\n${text}`);
      }
    },
    resize: (size) => setTerminalSize(controller, size),
    text: () => text,
    [Symbol.dispose]() {
      if (child.exitCode === null) child.kill("SIGKILL");
      stop.abort();
      close(controller);
    },
  };
}
