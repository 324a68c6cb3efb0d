import { expect, test } from "bun:test";
import { close, pipe, write } from "@hull/sys/fd";
import { openPlace } from "@hull/sys/pipe-place";
import { readStream } from "@hull/sys/stream";
import { participate } from "./participate.ts";
import { CriStreams } from "./streams.ts";

/** A process's streams, whose input ends with its client, and where it reads that. */
function process(): { streams: CriStreams; reading: number } {
  const streams = new CriStreams({ path: "", maxLine: 0 });
  const { read: reading, write: writing } = pipe({ nonBlocking: true });
  streams.connectInput(writing, { endsWithClient: true });
  return { streams, reading };
}

async function textOf(fd: number): Promise<string> {
  return Buffer.concat(await Array.fromAsync(readStream(fd))).toString();
}

test("a client writes to the process itself, until its own FIFO has ended", async () => {
  const { streams, reading } = process();
  const [fifo, stdout] = [pipe({ nonBlocking: true }), pipe({ nonBlocking: true })];
  const signal = new AbortController().signal;
  const { over, input } = participate(streams, { stdin: fifo.read, stdout: stdout.write }, signal);
  if (input === undefined) throw new Error("there is nowhere to write");
  {
    using direct = openPlace(input);
    expect(write(direct?.fd ?? -1, Buffer.from("some text"))).toBe(9);
  }
  // The process's input goes on, also with what comes by the FIFO.
  write(fifo.write, Buffer.from(", and more"));
  close(fifo.write);
  expect(await textOf(reading)).toBe("some text, and more");
  streams.close();
  await over;
  for (const fd of [reading, stdout.read]) close(fd);
});

test("clients without input, and those of a process without one, have nowhere to write", async () => {
  const { streams, reading } = process();
  const [fifo, stdout] = [pipe({ nonBlocking: true }), pipe({ nonBlocking: true })];
  const signal = new AbortController().signal;
  expect(participate(streams, { stdout: stdout.write }, signal).input).toBeUndefined();
  streams.closeInput();
  expect(participate(streams, { stdin: fifo.read }, signal).input).toBeUndefined();
  streams.close();
  for (const fd of [reading, stdout.read, fifo.write]) close(fd);
});
