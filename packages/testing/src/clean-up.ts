import { rmSync } from "node:fs";
import type { Hull } from "@hull/client";
import { isCode } from "@hull/errors";

/** Of the containers of a session. */
export const sessionLabel = "hull.testing/session";

/** Takes away what is left of a session's containers. */
export async function removeContainers(hull: Hull, session: string): Promise<number> {
  const left = await hull.containers.list(`labels."${sessionLabel}"==${session}`);
  for (const container of left) {
    await container.remove({ force: true }).catch((error: unknown) => {
      if (!isCode(error, "notFound")) throw error;
    });
  }
  return left.length;
}

/** Deletes a session's folder. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
