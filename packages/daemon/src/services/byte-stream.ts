import { Data, WindowUpdate } from "@hull/api/gen/containerd/types/transfer/streaming";
import { decodeAny, encodeAny } from "@hull/api/typeurl";
import type { ServerStream } from "./streaming.ts";

const dataType = "containerd.types.transfer.Data";
const windowType = "containerd.types.transfer.WindowUpdate";

/** What the sender may be ahead. containerd opens 64 KiB; more spares a fast sender the waiting. */
const window = 4 * 1024 * 1024;

/**
 * The bytes that a client sends over a stream: it sends Data within the window that this side opens with WindowUpdate, and ends it by
 * saying that nothing follows.
 */
export async function* receiveBytes(stream: ServerStream): AsyncGenerator<Uint8Array, void, undefined> {
  await stream.send(encodeAny(windowType, WindowUpdate, { update: window }));
  let consumed = 0;
  for (;;) {
    const message = await stream.receive();
    if (message === undefined) return;
    const { data } = decodeAny(message, dataType, Data);
    yield data;
    consumed += data.length;
    if (consumed < window / 4) continue;
    await stream.send(encodeAny(windowType, WindowUpdate, { update: consumed }));
    consumed = 0;
  }
}
