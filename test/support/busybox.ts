import { writeBusyboxImage } from "../../scripts/image.ts";
import type { Comparison } from "./compare.ts";

/** The name of the image that tests run. */
export const image = "docker.io/library/busybox:latest";

/** Writes the archive of an image of busybox below the pair's folder. @returns its path */
export function busyboxArchive(pair: Comparison): string {
  const archive = pair.folder.join("busybox.tar");
  writeBusyboxImage(archive, image);
  return archive;
}

/** Gives both sides the image. */
export async function importBusybox(pair: Comparison): Promise<void> {
  await pair.both(["images", "import", busyboxArchive(pair)]);
}
