/** What the tests of examples need: a daemon of hull's on folders of its own, with an image of busybox. */
import { chmodSync, createReadStream } from "node:fs";
import { connect, type Hull } from "@hull/client";
import { writeBusyboxImage } from "../scripts/image.ts";
import { noContainerd } from "../test/support/containerd.ts";
import { startHull } from "../test/support/hull.ts";
import { scratch } from "../test/support/scratch.ts";

/** Why the examples can't run here; undefined if they can. */
export const lacking: string | undefined = noContainerd;

export interface Place extends AsyncDisposable {
  readonly hull: Hull;
  readonly address: string;
  /** A folder for the test. */
  readonly folder: string;
}

export async function openPlace(): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(scratch());
  // Whoever is in a user namespace has to reach its root file system.
  chmodSync(folder.path, 0o711);
  const archive = folder.join("busybox.tar");
  writeBusyboxImage(archive, "docker.io/library/busybox:latest");
  const { address } = stack.use(
    await startHull(folder.join("hull"), '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n'),
  );
  const hull = stack.use(await connect({ address }));
  await hull.images.import(createReadStream(archive));
  const kept = stack.move();
  return { hull, address, folder: folder.path, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
