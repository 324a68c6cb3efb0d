import { existsSync, readFileSync } from "node:fs";

/** How a program that ran to its end ended. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. A signal that ended it counts as 128 + its number. */
export async function runProgram(
  command: readonly string[],
  options: {
    stdin?: string | Uint8Array;
    env?: Record<string, string | undefined>;
    cwd?: string;
    timeoutMs?: number;
  } = {},
): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    timeout: options.timeoutMs ?? 100_000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { status, stdout, stderr };
}

/** What is typed, and what has to be shown before. Into a pipe it is followed by the end. */
export interface Typing {
  when: RegExp;
  type: string;
}

/** Runs a program that is typed to: in a terminal of 100 columns and 30 lines (what it shows is `stdout`), or by pipes. */
export async function runTypedTo(
  command: readonly string[],
  { when, type, terminal }: Typing & { terminal: boolean },
  env: Record<string, string | undefined> = {},
): Promise<Outcome> {
  const decoder = new TextDecoder();
  let shown = "";
  let typed = false;
  const show = (bytes: Uint8Array, write: (text: string) => void): void => {
    shown += decoder.decode(bytes, { stream: true });
    if (typed || !when.test(shown)) return;
    typed = true;
    write(type);
  };
  const common = { env: { ...process.env, ...env }, timeout: 60_000, killSignal: "SIGKILL" } as const;
  if (terminal) {
    const data = (at: Bun.Terminal, bytes: Uint8Array): void => show(bytes, (text) => void at.write(text));
    const child = Bun.spawn([...command], { ...common, terminal: { cols: 100, rows: 30, data } });
    const status = await child.exited;
    child.terminal?.close();
    return { status, stdout: shown, stderr: "" };
  }
  const child = Bun.spawn([...command], { ...common, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  const stderr = new Response(child.stderr).text();
  for await (const bytes of child.stdout) {
    show(bytes, (text) => {
      child.stdin.write(text);
      void child.stdin.end();
    });
  }
  return { status: await child.exited, stdout: shown, stderr: await stderr };
}

/** Waits until a process, which needn't be a child, has ended and was reaped. @throws Error if it goes on for a minute */
export async function endOf(pid: number): Promise<void> {
  for (let tries = 0; existsSync(`/proc/${pid}`); tries++) {
    if (tries > 6000) throw new Error(`process ${pid} goes on`);
    await Bun.sleep(10);
  }
}

/** A server of a test's own, running until it is stopped. */
export interface Server extends AsyncDisposable {
  readonly pid: number;
  /** All it has printed on stderr so far. */
  log(): string;
  /** Resolves with its status when it has ended by itself or by a signal. */
  readonly exited: Promise<number>;
  /** Sends a signal, SIGTERM unless told, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number>;
}

/** Starts a server and waits until its stderr shows `ready`. `descriptors` become its 3, 4 and so on. @throws Error with the log if it ends or takes over `limitMs` (a minute) before that */
export async function startServer(
  command: readonly string[],
  ready: RegExp,
  options: {
    env?: Record<string, string | undefined>;
    cwd?: string;
    descriptors?: readonly number[];
    limitMs?: number;
  } = {},
): Promise<Server> {
  const child = Bun.spawn([...command], {
    stdio: ["ignore", "ignore", "pipe", ...(options.descriptors ?? [])],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  let text = "";
  let found = () => {};
  const seen = new Promise<void>((resolve) => {
    found = resolve;
  });
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      text += decoder.decode(chunk, { stream: true });
      if (ready.test(text)) found();
    }
  })();
  const { limitMs = 60_000 } = options;
  const late = new Promise<"late">((resolve) => setTimeout(resolve, limitMs, "late").unref());
  const first = await Promise.race([
    seen.then(() => "ready" as const),
    child.exited.then(() => "ended" as const),
    late,
  ]);
  if (first !== "ready") {
    child.kill("SIGKILL");
    await reading;
    throw new Error(
      `"${command.join(" ")}" ${first === "ended" ? "ended" : `was not ready after ${limitMs / 1000} s`}:\n${text}`,
    );
  }
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return child.exited;
  };
  return {
    pid: child.pid,
    log: () => text,
    exited: child.exited,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/** Whether a process is there and is more than the record of its end. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
