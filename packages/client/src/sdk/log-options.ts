import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { canceled, failedPrecondition, invalidArgument, unimplemented } from "@hull/errors";
import type { Client } from "../client.ts";
import type { Container as ContainerRecord } from "../containers.ts";
import { clientDirectories } from "../directories.ts";
import { logLabel, logPlaceOf, millisOf, readEntries } from "../logs/index.ts";
import { endOf } from "../tasks.ts";

/** How a log is kept small. */
export interface LogOption {
  /** Bytes of one file: the log goes on in another when it would become larger. It grows unless told. Hull's daemon, or an engine. */
  readonly maxSize?: number;
  /** How many files are kept, the newest among them: 5 unless told. */
  readonly maxFiles?: number;
}

/** Which lines of a log. */
export interface LogsOptions {
  /** Go on with what comes, until the container has ended. */
  readonly follow?: boolean;
  /** Begin so many lines before the end; with all unless told. */
  readonly tail?: number;
  /** Of those, the ones that came then or later. */
  readonly since?: Date;
  /** Those that came before; following ends then. */
  readonly until?: Date;
  /** Ends the reading with a `canceled` error. */
  readonly signal?: AbortSignal;
}

/** A line of a log. */
export interface LogLine {
  /** Without its end. */
  readonly text: string;
  /** A container with a terminal writes all to stdout; so it seems for a log without times. */
  readonly output: "stdout" | "stderr";
  /** When it came; undefined in a log without times, as the shims of a containerd write. */
  readonly at: Date | undefined;
  /** True if the line goes on in the next of the same output, as one of more than 16 KiB does, or was never ended. */
  readonly partial: boolean;
}

/** Where logs are of daemons that don't say. */
const defaultDirectory = "/var/lib/hull/logs";

/**
 * The label of a container that keeps a log.
 * @throws InvalidArgument for a size or a number that is none; Unimplemented for a size that nobody would keep to
 */
export async function logLabels(
  client: Client,
  id: string,
  option: boolean | LogOption | undefined,
): Promise<Record<string, string>> {
  if (option === undefined || option === false) return {};
  const { maxSize, maxFiles } = option === true ? {} : option;
  const { logs } = await clientDirectories(client);
  const uri = pathToFileURL(join(logs ?? defaultDirectory, client.namespace, `${id}.log`));
  if (maxFiles !== undefined && maxSize === undefined)
    throw invalidArgument("log.maxFiles takes log.maxSize beside it: a log without a size is one file");
  if (maxSize !== undefined) {
    if (logs === undefined)
      throw unimplemented(
        `log.maxSize: shims of the daemon at "${client.address}" let logs grow; hull's own keep to it`,
      );
    uri.searchParams.set("max-size", String(whole("log.maxSize", maxSize)));
    if (maxFiles !== undefined) uri.searchParams.set("max-file", String(whole("log.maxFiles", maxFiles)));
  }
  if (logs !== undefined) uri.searchParams.set("times", "");
  return { [logLabel]: uri.href };
}

function whole(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw invalidArgument(`${name} must be a whole number above 0, not ${value}`);
}

/** Another's shim may still be copying when the container has ended: how long it is waited for, ms. */
const copyingMs = 100;

/** See `Container.logs`. */
export async function* logsOf(
  client: Client,
  record: Pick<ContainerRecord, "id" | "labels">,
  { follow = false, tail, since, until, signal }: LogsOptions,
): AsyncGenerator<LogLine, void, undefined> {
  const place = logPlaceOf(record);
  if (place === undefined)
    throw failedPrecondition(
      `container "${record.id}" keeps no log: run it with log: true, or read its stdout and stderr`,
    );
  if (!place.times && (since !== undefined || until !== undefined))
    throw failedPrecondition(
      `the log of container "${record.id}" has no times, as shims other than hull's write none: leave out since and until`,
    );
  if (tail !== undefined && !(Number.isSafeInteger(tail) && tail >= 0))
    throw invalidArgument(`tail must be a whole number, not ${tail}`);
  const left = new AbortController();
  const ended = async (): Promise<void> => {
    await endOf(client, record.id, { signal: left.signal });
    if (!place.times) await new Promise((resolve) => setTimeout(resolve, copyingMs));
  };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  try {
    const reading = { tail, since, until, signal, follow: follow ? ended : undefined };
    for await (const entries of readEntries(place, reading))
      for (const { text, output, time, whole } of entries)
        yield {
          text: decoders[output].decode(Buffer.from(text, "latin1"), { stream: !whole }),
          output,
          at: time === undefined ? undefined : new Date(millisOf(time)),
          partial: !whole,
        };
  } finally {
    left.abort();
  }
  if (signal?.aborted) throw canceled("reading the log was canceled", { cause: signal.reason });
}
