import { readFile } from "node:fs/promises";
import { HullError, unknown } from "@hull/errors";
import type { Seccomp } from "@hull/oci/spec";
import { isErrno } from "@hull/sys/errno";

/**
 * Reads a seccomp profile: a JSON file of the runtime spec's form (config-linux.md, seccomp), by its absolute path.
 * @throws Unknown in containerd's words
 */
export async function loadSeccomp(path: string): Promise<Seccomp> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const why = isErrno(error, "ENOENT") ? `open ${path}: no such file or directory` : HullError.from(error).message;
    throw unknown(`cannot load seccomp profile ${JSON.stringify(path)}: ${why}`);
  }
  const wrong = (why: string) => unknown(`decoding seccomp profile failed ${JSON.stringify(path)}: ${why}`);
  let profile: unknown;
  try {
    profile = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (typeof profile !== "object" || profile === null || Array.isArray(profile)) throw wrong("it is no object");
  if (!("defaultAction" in profile) || typeof profile.defaultAction !== "string")
    throw wrong('it has no text "defaultAction"');
  return profile as Seccomp;
}
