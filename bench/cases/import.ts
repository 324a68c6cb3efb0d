import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packLayout, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** Bytes that look like a program's: text that repeats and bytes that don't, which gzip packs to about two fifths. */
function fileBytes(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(0);
  const text = new TextEncoder().encode("the quick brown fox jumps over the lazy dog");
  const words = new Uint32Array(6);
  // xorshift32 (Marsaglia, "Xorshift RNGs"): the same bytes in every run.
  let state = seed + 1;
  for (let offset = 0; offset < size; offset += 64) {
    for (let word = 0; word < words.length; word++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[word] = state;
    }
    bytes.set(new Uint8Array(words.buffer).subarray(0, size - offset), offset);
    if (offset + 24 < size) bytes.set(text.subarray(0, Math.min(40, size - offset - 24)), offset + 24);
  }
  return bytes;
}

/** Makes an archive of an image of 9 gzip layers with `files` files of together about `bytes` bytes, the sizes spread as in a Linux userland. */
export function writeLargeImage(
  scratch: string,
  archive: string,
  name: string,
  options: { files: number; bytes: number },
): void {
  const folder = mkdtempSync(join(scratch, "large-"));
  const layerCount = 9;
  const perLayer = Math.ceil(options.files / layerCount);
  const mean = options.bytes / options.files;
  // Many small files and few large ones: sizes of a hundredth to tenfold of the mean.
  const spread = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 6.02];
  const scale = spread.length / spread.reduce((sum, part) => sum + part, 0);
  const layers = Array.from({ length: layerCount }, (_, layer) => {
    const root = join(folder, `layer-${layer}`);
    for (let file = 0; file < perLayer; file++) {
      const directory = join(root, "usr", "share", `layer${layer}`, `part${Math.floor(file / 100)}`);
      if (file % 100 === 0) mkdirSync(directory, { recursive: true });
      const size = Math.floor(mean * scale * (spread[file % spread.length] ?? 1));
      writeFileSync(join(directory, `file${file}`), fileBytes(layer * perLayer + file, size));
    }
    // The folder stays until the end: ext4 makes files slowly after many were deleted, in whoever's time.
    const tar = tarOfFolder(root);
    return { tar, compression: "gzip" as const };
  });
  const layout = join(folder, "layout");
  writeLayout(layout, [{ name, layers }]);
  packLayout(layout, archive);
}

/**
 * Times importing and unpacking an archive, each round by daemons of its own. Nothing is deleted between the rounds, for what ext4 does
 * after files were deleted (it seeks a place that wasn't in use lately for each new one) would take more time than the import.
 */
export async function importCase(
  startRound: (round: number) => Promise<{ hull: Peer; containerd: Peer } & AsyncDisposable>,
  options: { archive: string; rounds: number; target?: number },
): Promise<Sample> {
  const sample: Sample = {
    name: "import + unpack, about 1 GB in 9 layers",
    unit: "ms",
    hull: [],
    containerd: [],
    paired: true,
    target: options.target,
  };
  for (let round = 0; round < options.rounds; round++) {
    await using peers = await startRound(round);
    // The first has the advantage or the disadvantage by turns.
    const order = round % 2 === 0 ? [peers.containerd, peers.hull] : [peers.hull, peers.containerd];
    for (const peer of order) {
      sample[peer.label].push(await timed(() => peer.ctr("images", "import", options.archive)));
      // What the one wrote must not be flushed in the other's time.
      Bun.spawnSync(["sync"]);
    }
  }
  return sample;
}
