import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { HullError, notFound, unknown } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import { Turns } from "@hull/sys/turns";

export type Command = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC" | "VERSION";

/** What a plugin said was wrong. `number` is its code: CNI specification, section 5 "Error". */
export class CniError extends HullError {
  readonly number: number;
  readonly details: string;

  constructor(plugin: string, command: Command, answer: { code: number; msg: string; details: string }) {
    const details = answer.details === "" ? "" : `: ${answer.details}`;
    super("unknown", `plugin type="${plugin}" failed (${words[command]}): ${answer.msg}${details}`);
    this.number = answer.code;
    this.details = answer.details;
  }
}

const words: Readonly<Record<Command, string>> = {
  ADD: "add",
  DEL: "delete",
  CHECK: "check",
  STATUS: "status",
  GC: "gc",
  VERSION: "version",
};

/** Finds a plugin's program. @throws NotFound, naming the directories */
export function findPlugin(type: string, directories: readonly string[]): string {
  for (const directory of directories) {
    const path = join(directory, type);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // The next one may have it.
    }
  }
  throw notFound(`failed to find plugin "${type}" in path [${directories.join(" ")}]`);
}

/** A plugin's program, to be run to its end. */
export interface PluginRun {
  readonly path: string;
  /** For its standard input. */
  readonly input: string;
  /** Beside this process's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** How it ended, and what it wrote to its standard output and error. */
export interface PluginEnd {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program. @throws Error if it can't be started; the signal's reason, and then it has ended */
export type RunPlugin = (run: PluginRun) => Promise<PluginEnd>;

const longest = 1024 * 1024;

/** A start takes a millisecond, and more on a busy machine: many pods' plugins don't start all at once. */
const starts = new Turns();

/** Runs a plugin's program as a child of this process. */
export const runPlugin: RunPlugin = async ({ path, input, env, signal }) => {
  await starts.take();
  signal?.throwIfAborted();
  // Its parent's directory may be gone.
  const child = startProgram([path], {
    stdio: [new TextEncoder().encode(input), "pipe", "pipe"],
    env: { ...process.env, ...env },
    cwd: "/",
  });
  const end = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", end, { once: true });
  const over = Promise.all([child.exited, collect(child.stdout), collect(child.stderr)]);
  const [status, output, errors] = await over.finally(() => signal?.removeEventListener("abort", end));
  signal?.throwIfAborted();
  return { status, output, errors };
};

export interface PluginCall {
  readonly command: Command;
  readonly path: string;
  readonly type: string;
  /** The plugin's configuration, for its standard input. */
  readonly config: object;
  /** CNI_… beside the command. */
  readonly env: Readonly<Record<string, string>>;
  readonly run: RunPlugin;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls a plugin. Gives what it printed, undefined if that is nothing.
 * @throws CniError for what it says was wrong; Unknown if it fails without saying; what running it throws
 */
export async function callPlugin({ command, path, type, config, env, run, signal }: PluginCall): Promise<unknown> {
  const { status, output, errors } = await run({
    path,
    input: JSON.stringify(config),
    env: { ...env, CNI_COMMAND: command },
    signal,
  });
  const answer = parse(output);
  if (status === 0) {
    if (answer === undefined && output.trim() !== "")
      throw unknown(`plugin type="${type}" answered ${words[command]} with what is no JSON: "${output.slice(0, 200)}"`);
    return answer;
  }
  if (isErrorAnswer(answer))
    throw new CniError(type, command, { code: answer.code, msg: answer.msg, details: answer.details ?? "" });
  const said = errors.trim() === "" ? `it ended with ${status}` : errors.trim();
  throw unknown(`plugin type="${type}" failed (${words[command]}): netplugin failed: ${said}`);
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length <= longest) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrorAnswer(value: unknown): value is { code: number; msg: string; details?: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "code" in value &&
    typeof value.code === "number" &&
    "msg" in value &&
    typeof value.msg === "string" &&
    (!("details" in value) || typeof value.details === "string")
  );
}
