import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes an archive beside another that differs in what its index says of its first image. @returns its path */
export function annotated(archive: string, annotations: Readonly<Record<string, string>>): string {
  const folder = `${archive}.layout`;
  const changed = `${archive}.annotated`;
  mkdirSync(folder);
  try {
    tar(["-C", folder, "-xf", archive]);
    const index = join(folder, "index.json");
    const { manifests, ...rest } = JSON.parse(readFileSync(index, "utf8")) as { manifests: object[] };
    writeFileSync(index, JSON.stringify({ ...rest, manifests: [{ ...manifests[0], annotations }] }));
    tar(["-C", folder, "-cf", changed, "oci-layout", "index.json", "blobs"]);
    return changed;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @throws Error with what it said */
function tar(args: readonly string[]): void {
  const { status, stderr } = spawnSync("tar", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar ${args.join(" ")}: ${stderr}`);
}
