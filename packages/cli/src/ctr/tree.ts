import type { Command } from "../command/index.ts";

/** What "delete" is called as well. */
export const removeAliases = ["del", "remove", "rm"];

/** One that containerd's ctr has and hull's has not: known, so that it says so. */
export const missing = (
  name: string,
  summary: string,
  reason = "not supported by hull yet",
  aliases: readonly string[] = [],
): Command => ({
  name,
  aliases,
  summary,
  unsupported: reason,
  rawArguments: true,
  load: async () => {
    const { CtrError } = await import("./errors.ts");
    return () => Promise.reject(new CtrError(`"${name}" is ${reason}`));
  },
});
