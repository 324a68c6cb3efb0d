/** What of a program's complaints is kept, bytes: the end of them, where programs say why they gave up. */
const kept = 8192;

/** Reads what a program says to its end, and gives the last of it: what it says may come of a stranger's file, and be without end. */
export async function lastWords(stream: ReadableStream<Uint8Array>): Promise<string> {
  let last = Buffer.alloc(0);
  for await (const chunk of stream) {
    const all = Buffer.concat([last, chunk]);
    last = Buffer.from(all.subarray(Math.max(0, all.length - kept)));
  }
  return last.toString("utf8").trim();
}
