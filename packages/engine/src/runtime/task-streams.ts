/** What hull's own shim offers for tasks whose streams have the scheme `cri`: their log, and clients that take part in their streams. */

import { type AttachRequest, StreamsDefinition } from "@hull/api/gen/hull/shim/v1/streams";
import { failedPrecondition, unimplemented } from "@hull/errors";
import { connectTtrpc, ttrpcClient } from "@hull/ttrpc/client";
import type { Shim } from "./shim.ts";

/** Which streams a client takes part in. */
export interface StreamWishes {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** Output, in the order in which it was read; one of both has bytes. */
export interface TaskOutput {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/** The streams of one task's first process. */
export interface TaskStreams {
  /** Has the log file opened anew, which somebody has renamed. @throws the system's error, as Unknown or NotFound */
  reopenLog(): Promise<void>;
  /**
   * Takes part in the streams from now on.
   *
   * A client that takes nothing of what waits for it for ten seconds is let go (ResourceExhausted); until then the process waits for it. With
   * the end of `input` it is over, unless the process was to see that end, or had no input. Leaving the loop is leaving the streams.
   *
   * @returns the output, to its end, once nothing of it is missed any more
   * @throws FailedPrecondition when the process has ended
   */
  attach(
    wishes: StreamWishes,
    input: AsyncIterable<Uint8Array>,
    options?: { signal?: AbortSignal },
  ): Promise<AsyncGenerator<TaskOutput, void>>;
}

/** How much of a slow client's output is held here; the shim holds some as well, and the kernel. */
const maximumHeld = 256 * 1024;

/** Far below what ttrpc takes in one message. */
const maximumMessage = 256 * 1024;

/** The name of a task's output: its log, and clients. @param log absolute; empty for none. @param maxLine bytes; 0 or less: lines aren't split */
export function criOutput(log: string, maxLine: number): string {
  return `cri://${log.split("/").map(encodeURIComponent).join("/")}?max-line=${maxLine}`;
}

/** The name of a task's input that clients bring. @param once the first client's end of input is the process's */
export function criInput({ once }: { once: boolean }): string {
  return once ? "cri://?once" : "cri://";
}

/** @throws Unimplemented for a shim that isn't hull's own */
export function taskStreams(shim: Shim, id: string): TaskStreams {
  if (shim.program !== undefined || shim.foreign) {
    throw unimplemented(`the shim of task "${id}" keeps neither logs nor attached clients: it is not hull's own`);
  }
  const { connection, bootstrap } = shim.connected;
  return {
    async reopenLog() {
      await ttrpcClient(StreamsDefinition, connection).reopenLog({ id });
    },
    async attach(wishes, input, { signal } = {}) {
      // Of its own: what a slow client doesn't take must not hold up the others.
      const own = await connectTtrpc(bootstrap.address, { maximumHeld });
      const outputs = ttrpcClient(StreamsDefinition, own).attach(requests(id, wishes, input), { signal });
      const iterator = outputs[Symbol.asyncIterator]();
      try {
        const { done } = await iterator.next();
        if (done) throw failedPrecondition(`task "${id}" ended while a client came to attach`);
      } catch (error) {
        await own.close();
        throw error;
      }
      return (async function* () {
        try {
          yield* { [Symbol.asyncIterator]: () => iterator };
        } finally {
          await iterator.return?.();
          await own.close();
        }
      })();
    },
  };
}

async function* requests(
  id: string,
  wishes: StreamWishes,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Partial<AttachRequest>, void> {
  yield { id, ...wishes };
  if (!wishes.stdin) return;
  for await (const data of input) {
    for (let at = 0; at < data.length; at += maximumMessage) yield { data: data.subarray(at, at + maximumMessage) };
  }
}
