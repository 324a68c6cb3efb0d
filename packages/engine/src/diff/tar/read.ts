import type { TarEntry } from "./entry.ts";
import { TarParser } from "./parser.ts";

/** An entry with its bytes. */
export interface TarMember extends TarEntry {
  /**
   * The file's bytes, holes as zeros. Read it before asking for the next member, or not at all: what is left is skipped.
   * Each chunk is valid until the next one is asked for.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

type Event =
  | { readonly kind: "entry"; readonly entry: TarEntry }
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: "finish" };

const zeros = new Uint8Array(1 << 16);

/**
 * The members of an archive that comes as a stream, one after the other. Chunks are asked for as members are read.
 *
 * @throws invalidArgument, with the position, for an archive that is damaged or cut off
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember, void, undefined> {
  const queue: Event[] = [];
  let taken = 0;
  const parser = new TarParser({
    entry: (entry) => queue.push({ kind: "entry", entry }),
    data: (bytes, offset) => queue.push({ kind: "data", bytes, offset }),
    finish: () => queue.push({ kind: "finish" }),
  });
  const chunks = source[Symbol.asyncIterator]();
  let ended = false;

  const next = async (): Promise<Event | undefined> => {
    for (;;) {
      const event = queue[taken];
      if (event !== undefined) {
        taken++;
        return event;
      }
      queue.length = 0;
      taken = 0;
      if (ended) return undefined;
      const result = await chunks.next();
      if (result.done === true) {
        ended = true;
        parser.end();
      } else {
        parser.push(result.value);
      }
    }
  };

  async function* body(size: number, done: () => void): AsyncGenerator<Uint8Array, void, undefined> {
    let at = 0;
    for (;;) {
      const event = await next();
      const until = event?.kind === "data" ? event.offset : size;
      while (at < until) {
        const hole = zeros.subarray(0, Math.min(zeros.length, until - at));
        at += hole.length;
        yield hole;
      }
      if (event?.kind !== "data") break;
      at += event.bytes.length;
      yield event.bytes;
    }
    done();
  }

  try {
    for (;;) {
      const event = await next();
      if (event === undefined) return;
      if (event.kind !== "entry") continue;
      const { entry } = event;
      let open = true;
      const bytes = body(entry.size, () => {
        open = false;
      });
      yield { ...entry, body: { [Symbol.asyncIterator]: () => bytes } };
      // A body that was left early is closed and can't go on: skip by the events themselves.
      while (open) open = (await next())?.kind === "data";
    }
  } finally {
    await chunks.return?.();
  }
}
