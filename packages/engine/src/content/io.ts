import { type FileHandle, open } from "node:fs/promises";
import { HullError } from "@hull/errors";
import { describeErrno } from "@hull/sys/errno";

/** A failed file operation as an error of the family: a full disk is resourceExhausted, a broken one dataLoss. */
export function ioError(thrown: unknown, doing: string): HullError {
  if (thrown instanceof HullError) return thrown;
  const number = thrown instanceof Error && "errno" in thrown ? Math.abs(Number(thrown.errno)) : 0;
  const { name, text, code } = describeErrno(number);
  return new HullError(code, `${doing}: ${number === 0 ? String(thrown) : `${name}: ${text}`}`, { cause: thrown });
}

/** The longest piece that readers get, in bytes. */
export const chunkSize = 1 << 20;

/**
 * The bytes of a file from `offset` up to `end`, in chunks of at most 1 MiB, each in memory of its own. The next chunk is read while the
 * consumer works on this one. A file that is shorter ends the sequence early.
 */
export async function* readFile(file: FileHandle, offset: number, end: number): AsyncGenerator<Uint8Array> {
  let next = readChunk(file, offset, end);
  try {
    while (true) {
      const chunk = await next;
      if (chunk === undefined) return;
      offset += chunk.length;
      next = readChunk(file, offset, end);
      yield chunk;
    }
  } finally {
    // A read under way still uses the descriptor that the caller is about to close.
    await next.catch(() => undefined);
  }
}

async function readChunk(file: FileHandle, offset: number, end: number): Promise<Uint8Array | undefined> {
  if (offset >= end) return undefined;
  // Not from the pool: a pooled chunk would keep its neighbours in memory. Not zeroed: it is filled by the read.
  const buffer = Buffer.allocUnsafeSlow(Math.min(chunkSize, end - offset));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  if (bytesRead === 0) return undefined;
  return bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
}

/** Writes the whole of `bytes` at `offset`. */
export async function writeWhole(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}

/** Makes the names in a directory (what was made, renamed or removed) survive a loss of power. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}
