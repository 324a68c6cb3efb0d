/** Set when the whole of hull is built into one executable. */
declare const HULL_EXECUTABLE: boolean | undefined;

/** What the executable can be started as by hull itself. */
export type SelfEntry = "daemon" | "shim" | "unpack" | "pack" | "sync" | "checkpoint-metadata" | "network-hook";

/** The command that starts hull again as something else: this executable, or from source the runtime with the entry file. */
export function selfCommand(entry: SelfEntry): string[] {
  if (typeof HULL_EXECUTABLE !== "undefined") return [process.execPath, entry];
  return [process.execPath, Bun.fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url)), entry];
}
