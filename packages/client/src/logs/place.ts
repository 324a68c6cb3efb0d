import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** Label of a container's record: where its output goes while nobody is attached, a URI of a task's stdout (`file://…`). */
export const logLabel = "hull/log-uri";

/** Where a log is, and of which kind. */
export interface LogPlace {
  readonly file: string;
  /** It begins anew as another file of its name when it has reached a size. */
  readonly rotates: boolean;
  /** Each line has the time at which it came. */
  readonly times: boolean;
}

/** The log of a container that has one. */
export function logPlaceOf({ labels }: { readonly labels: Readonly<Record<string, string>> }): LogPlace | undefined {
  const uri = labels[logLabel];
  if (uri?.startsWith("file://") !== true) return undefined;
  const query = new URLSearchParams(uri.split("?")[1]);
  return { file: fileURLToPath(uri), rotates: query.has("max-size"), times: query.has("times") };
}

/** What a log's file was before, the oldest first. */
export function olderLogs({ file, rotates }: LogPlace): string[] {
  if (!rotates) return [];
  const prefix = `${basename(file)}.`;
  const ages = readdirSync(dirname(file)).flatMap((name) =>
    name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? Number(name.slice(prefix.length)) : [],
  );
  return ages.sort((a, b) => b - a).map((age) => `${file}.${age}`);
}

/** Makes a log with a mode that keeps it from others, before the shim would with its own. */
export function prepareLog({ file }: LogPlace): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o711 });
  closeSync(openSync(file, "a", 0o600));
}

/** Removes a container's log, if it has one. */
export function removeLog(container: { readonly labels: Readonly<Record<string, string>> }): void {
  const place = logPlaceOf(container);
  if (place === undefined) return;
  for (const path of [...(place.rotates ? ifThere(() => olderLogs(place)) : []), place.file])
    rmSync(path, { force: true });
}

function ifThere(list: () => string[]): string[] {
  try {
    return list();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
