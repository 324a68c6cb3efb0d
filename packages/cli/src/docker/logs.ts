import { pathToFileURL } from "node:url";
import { invalidArgument } from "@hull/errors";
import { parseRotation } from "@hull/shim/log-file";
import { pairOf } from "./pair.ts";

/**
 * The URI of a log, from its path and `--log-opt`.
 * @param times whether each line is to have its time: for hull's shim
 * @throws InvalidArgument for an option that is not known, or its value
 */
export function logUri(path: string, options: readonly string[], { times }: { times: boolean }): string {
  const uri = pathToFileURL(path);
  for (const option of options) {
    const [key, value] = pairOf(option);
    if (key !== "max-size" && key !== "max-file") {
      throw invalidArgument(`--log-opt takes max-size=SIZE and max-file=NUMBER, not "${option}"`);
    }
    uri.searchParams.set(key, value);
  }
  parseRotation(uri.searchParams, path);
  if (times) uri.searchParams.set("times", "");
  return uri.href;
}
