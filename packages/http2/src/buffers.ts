/** Large buffers that connections use by turns, so that sending content makes no garbage. */

/** Bytes: about what a unix socket of Linux takes at once. */
export const bufferSize = 256 * 1024;

const spare: Uint8Array<ArrayBuffer>[] = [];
const mostSpare = 2;

export function takeBuffer(): Uint8Array<ArrayBuffer> {
  return spare.pop() ?? new Uint8Array(bufferSize);
}

/** Takes a buffer that nobody uses any more; one of another size is left to the collector. */
export function takeBufferBack(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === bufferSize && spare.length < mostSpare) spare.push(buffer);
}
