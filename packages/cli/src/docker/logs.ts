import { readdirSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Container } from "@hull/client/containers";
import { invalidArgument } from "@hull/errors";
import { parseRotation } from "@hull/shim/log-file";
import { labelNames } from "./labels.ts";

/** The file that holds what a container printed in the background; undefined if there is none for it. */
export function logFileOf({ labels }: Pick<Container, "labels">): string | undefined {
  const uri = labels[labelNames.log];
  return uri?.startsWith("file://") ? fileURLToPath(uri) : undefined;
}

/** The URI of a log, from its path and `--log-opt`. @throws InvalidArgument for an option that is not known, or its value */
export function logUri(path: string, options: readonly string[]): string {
  const uri = pathToFileURL(path);
  for (const option of options) {
    const [key = "", ...value] = option.split("=");
    if (key !== "max-size" && key !== "max-file") {
      throw invalidArgument(`--log-opt takes max-size=SIZE and max-file=NUMBER, not "${option}"`);
    }
    uri.searchParams.set(key, value.join("="));
  }
  parseRotation(uri.searchParams, path);
  return uri.href;
}

/** True if the log's file is followed by another of its name when it has reached a size. */
export function rotates({ labels }: Pick<Container, "labels">): boolean {
  return new URLSearchParams(labels[labelNames.log]?.split("?")[1]).has("max-size");
}

/** What a log's file was before, the oldest first. */
export function olderLogs(file: string): string[] {
  const prefix = `${basename(file)}.`;
  const ages = readdirSync(dirname(file)).flatMap((name) =>
    name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? Number(name.slice(prefix.length)) : [],
  );
  return ages.sort((a, b) => b - a).map((age) => `${file}.${age}`);
}

/** Removes a container's log. */
export function removeLog(container: Pick<Container, "labels">): void {
  const file = logFileOf(container);
  if (file === undefined) return;
  const older = rotates(container) ? olderLogs(file) : [];
  for (const path of [...older, file]) rmSync(path, { force: true });
}
