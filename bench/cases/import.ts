import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packLayout, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

/** Bytes that look like a program's: half repeats, half doesn't, so that gzip has about its usual work. */
function fileBytes(seed: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let block = createHash("sha512").update(seed).digest();
  for (let offset = 0; offset < size; ) {
    const random = block.subarray(0, Math.min(32, size - offset));
    bytes.set(random, offset);
    offset += random.length;
    const text = "the quick brown fox jumps over the";
    for (let i = 0; i < 32 && offset < size; i++, offset++) bytes[offset] = text.charCodeAt(i);
    if (offset % 4096 < 64) block = createHash("sha512").update(block).digest();
    else block = Buffer.concat([block.subarray(1), block.subarray(0, 1)]);
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
      writeFileSync(join(directory, `file${file}`), fileBytes(`${layer}/${file}`, size));
    }
    const tar = tarOfFolder(root);
    rmSync(root, { recursive: true });
    return { tar, compression: "gzip" as const };
  });
  const layout = join(folder, "layout");
  writeLayout(layout, [{ name, layers }]);
  packLayout(layout, archive);
  rmSync(folder, { recursive: true });
}

/** Times importing and unpacking an archive; what came is removed again between the rounds. */
export async function importCase(
  peers: { hull: Peer; containerd: Peer },
  options: { archive: string; name: string; rounds: number; target?: number },
): Promise<Sample> {
  const sample: Sample = {
    name: "import + unpack, about 1 GB in 9 layers",
    unit: "ms",
    hull: [],
    containerd: [],
    target: options.target,
  };
  const once = async (peer: Peer) => {
    const ms = await timed(() => peer.ctr("images", "import", options.archive));
    await peer.ctr("images", "rm", "--sync", options.name);
    // What the one wrote must not be flushed in the other's time.
    Bun.spawnSync(["sync"]);
    return ms;
  };
  for (let round = 0; round < options.rounds; round++) {
    sample.containerd.push(await once(peers.containerd));
    sample.hull.push(await once(peers.hull));
  }
  return sample;
}
