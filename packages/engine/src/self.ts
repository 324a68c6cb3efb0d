import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { unavailable } from "@hull/errors";
import { which } from "@hull/sys/program";

/** Set when the whole of hull is built into one executable. */
declare const HULL_EXECUTABLE: boolean | undefined;

/** What the executable can be started as by hull itself. */
export type SelfEntry =
  | "daemon"
  | "shim"
  | "unpack"
  | "pack"
  | "sync"
  | "checkpoint-metadata"
  | "network-hook"
  | "network"
  | "namespaces";

/**
 * The command that starts hull again as something else: this executable; from source the runtime with the entry file; in a program that has
 * the engine inside it the executable that was installed.
 * @throws Unavailable if there is none
 */
export function selfCommand(entry: SelfEntry): string[] {
  if (typeof HULL_EXECUTABLE !== "undefined") return [process.execPath, entry];
  const source = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
  if (process.versions.bun !== undefined && existsSync(source)) return [process.execPath, source, entry];
  return [installedExecutable(), entry];
}

/** `HULL_EXECUTABLE`, the package for this platform, or `hull` in PATH. */
function installedExecutable(): string {
  const named = process.env.HULL_EXECUTABLE;
  if (named !== undefined && named !== "") return named;
  const platform = `@hull/linux-${process.arch}`;
  try {
    return createRequire(import.meta.url).resolve(`${platform}/bin/hull`);
  } catch {
    const found = which("hull");
    if (found !== null) return found;
  }
  throw unavailable(
    `the program "hull" keeps containers and their networks: install the package ${platform}, or set HULL_EXECUTABLE`,
  );
}
