import type { Descriptor } from "@hull/oci/descriptor";

/** Gives the bytes of a blob from one offset to before another. */
export type OpenPiece = (from: number, to: number) => Promise<AsyncIterable<Uint8Array>>;

export interface PiecesOptions {
  descriptor: Descriptor;
  offset: number;
  open: OpenPiece;
  /** Bytes of a piece; so many of them as there are connections are held in memory. */
  piece: number;
  connections: number;
}

/**
 * The bytes of a blob from `offset` to its end in order, fetched in pieces by several connections side by side: for links on which one
 * connection alone is slow.
 */
export async function* fetchPieces(options: PiecesOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor, open, piece, connections } = options;
  const ahead: Promise<Uint8Array[]>[] = [];
  let next = options.offset;
  const begin = (): void => {
    const from = next;
    next = Math.min(descriptor.size, from + piece);
    const bytes = collect(open, from, next);
    // Looked at in its turn; a failure before that is nobody's.
    bytes.catch(() => {});
    ahead.push(bytes);
  };
  while (ahead.length < connections && next < descriptor.size) begin();
  for (let first = ahead.shift(); first !== undefined; first = ahead.shift()) {
    const chunks = await first;
    if (next < descriptor.size) begin();
    yield* chunks;
  }
}

async function collect(open: OpenPiece, from: number, to: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await open(from, to)) chunks.push(chunk);
  return chunks;
}
