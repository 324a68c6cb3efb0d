import { writeSync } from "node:fs";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { invalidArgument, unimplemented, unknown } from "@hull/errors";
import { close, memoryFile, pipe } from "@hull/sys/fd";
import { type Program, startProgram } from "@hull/sys/program";
import type { TypedBytes } from "../labels.ts";
import { lastWords } from "../last-words.ts";
import { configTable, isTable, text, texts } from "../plugin/config.ts";
import { isLayerType, uncompressedLayer } from "./media-types.ts";

/**
 * A program that turns content of one media type into another: what a layer of a foreign type goes through before it is unpacked.
 *
 * It reads the content on standard input and writes its result to standard output; what it says on standard error is the message if it
 * ends with another status than 0. `STREAM_PROCESSOR_MEDIATYPE` in its environment is the type that it is given, and a client's payload
 * for its id, if there is one, is a protobuf Any on descriptor 3 (containerd, docs/stream_processors.md).
 */
export interface StreamProcessor {
  readonly id: string;
  readonly accepts: readonly string[];
  readonly returns: string;
  readonly path: string;
  readonly args: readonly string[];
  /** `NAME=value`, beside the daemon's own environment. */
  readonly env: readonly string[];
}

const keys = configTable({
  accepts: texts([], "Media types that it takes"),
  returns: text("", "Media type that it makes of them"),
  path: text("", "The program"),
  args: texts([], "Arguments of the program"),
  env: texts([], "Environment beside the daemon's own, as NAME=value"),
});

/** Reads the configuration's table `stream_processors`. @throws InvalidArgument that names the entry and key */
export function parseStreamProcessors(table: Readonly<Record<string, unknown>>): StreamProcessor[] {
  return Object.entries(table).map(([id, value]) => {
    const where = `table [stream_processors.${JSON.stringify(id)}]`;
    if (!isTable(value)) throw invalidArgument(`${where} must be a table, not ${JSON.stringify(value)}`);
    const unknownKey = Object.keys(value).find((key) => keys.shape?.[key] === undefined);
    if (unknownKey !== undefined) throw invalidArgument(`${where}: there is no key "${unknownKey}"`);
    const processor = { id, ...keys.parse(value) };
    for (const key of ["path", "returns"] as const) {
      if (processor[key] === "") throw invalidArgument(`${where}: key "${key}" is missing`);
    }
    return processor;
  });
}

/** More steps than these go in circles. */
const maximumSteps = 16;

/**
 * The processors that a layer of this type has to go through, in order; those that come later in the configuration first. None for a
 * layer that can be unpacked as it is.
 *
 * @throws Unimplemented if they lead to no layer
 */
export function processorsFor(
  mediaType: string,
  processors: readonly StreamProcessor[],
): { readonly processor: StreamProcessor; readonly given: string }[] {
  const chain: { processor: StreamProcessor; given: string }[] = [];
  for (let type = mediaType; chain.length <= maximumSteps; ) {
    const processor = processors.findLast(({ accepts }) => accepts.includes(type));
    if (processor === undefined) {
      if (isLayerType(type)) return chain;
      throw unimplemented(`failed to get stream processor for ${mediaType}: no processor for media-type`);
    }
    chain.push({ processor, given: type });
    type = processor.returns;
    if (type === uncompressedLayer) return chain;
  }
  throw unimplemented(`the stream processors for "${mediaType}" go in circles: each makes what another one takes`);
}

/** Processors at work. Disposing ends them. */
export interface RunningProcessors extends AsyncDisposable {
  /** Where the last one's output is read. */
  readonly output: number;
  /** Closes this process's end of the output, once who reads it has its own. */
  release(): void;
  /** Waits until all have ended. @throws Unknown with the words of the first that failed */
  finished(): Promise<void>;
}

/**
 * Starts a chain of processors, each reading what the one before writes; no byte comes through this process.
 *
 * @param input descriptor that the first reads. It stays the caller's.
 * @throws Unknown if a program can't be started
 */
export function startProcessors(
  chain: ReturnType<typeof processorsFor>,
  input: number,
  payloads: Readonly<Record<string, TypedBytes>>,
): RunningProcessors {
  const children: { id: string; child: Program; said: Promise<string> }[] = [];
  let output = input;
  const release = () => {
    if (output !== input) close(output);
    output = input;
  };
  const stop = async () => {
    release();
    for (const { child } of children) child.kill("SIGKILL");
    await Promise.all(children.map(({ child }) => child.exited));
  };
  for (const { processor, given } of chain) {
    const ends = pipe();
    try {
      const child = start(processor, given, output, ends.write, payloads[processor.id]);
      children.push({ id: processor.id, child, said: lastWords(child.stderr) });
    } catch (error) {
      close(ends.read);
      stop().catch(() => undefined);
      throw unknown(`stream processor "${processor.id}" can't be started: ${String(error)}`, { cause: error });
    } finally {
      close(ends.write);
    }
    release();
    output = ends.read;
  }
  return {
    output,
    release,
    async finished() {
      for (const { id, child, said } of children) {
        if ((await child.exited) === 0) continue;
        const words = (await said) || `it ended with ${child.signalCode ?? `status ${child.exitCode}`}`;
        throw unknown(`stream processor "${id}": ${words}`);
      }
    },
    [Symbol.asyncDispose]: stop,
  };
}

function start(
  { path, args, env }: StreamProcessor,
  given: string,
  input: number,
  output: number,
  payload: TypedBytes | undefined,
): Program {
  const own = Object.fromEntries(env.map((one) => [one.split("=", 1)[0] ?? "", one.slice(one.indexOf("=") + 1)]));
  const options = { env: { ...process.env, ...own, STREAM_PROCESSOR_MEDIATYPE: given } };
  if (payload === undefined) return startProgram([path, ...args], { ...options, stdio: [input, output, "pipe"] });
  using scope = new DisposableStack();
  const file = memoryFile("hull-payload");
  scope.defer(() => close(file));
  const bytes = Any.encode({ typeUrl: payload.typeUrl, value: payload.value }).finish();
  writeSync(file, bytes, 0, bytes.length, 0);
  return startProgram([path, ...args], { ...options, stdio: [input, output, "pipe", file] });
}
