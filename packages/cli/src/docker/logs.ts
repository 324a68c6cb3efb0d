import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Container } from "@hull/client/containers";
import { labelNames } from "./labels.ts";

/** The file that holds what a container printed in the background; undefined if there is none for it. */
export function logFileOf({ labels }: Pick<Container, "labels">): string | undefined {
  const uri = labels[labelNames.log];
  return uri?.startsWith("file://") ? fileURLToPath(uri) : undefined;
}

/** Removes a container's log. */
export function removeLog(container: Pick<Container, "labels">): void {
  const file = logFileOf(container);
  if (file !== undefined) rmSync(file, { force: true });
}
