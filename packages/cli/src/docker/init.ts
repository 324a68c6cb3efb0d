import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import type { Spec, SpecMiddleware, SpecMount } from "@hull/oci/spec";

/** Where containers have their init. */
const place = "/sbin/docker-init";
/** What is before the command then: both programs take it. */
const front: readonly string[] = [place, "--"];
/** Programs that are an init for a container, as Debian names them. */
const programs = ["docker-init", "tini-static", "catatonit", "tini"];
const directories = ["/usr/local/bin", "/usr/bin", "/usr/libexec/podman", "/bin", "/usr/libexec/docker"];

/**
 * An init of this host that runs in any container: one that needs no libraries.
 * @throws FailedPrecondition with what to install; InvalidArgument where it would not be the first process
 */
export function initMounts({ init, pid }: { init: boolean; pid: string | undefined }): SpecMount[] {
  if (!init) return [];
  if (pid === "host")
    throw invalidArgument("conflicting options: with --pid host an init is not the first process: leave --init out");
  const found = programs.flatMap((name) => directories.map((directory) => join(directory, name))).find(runsAnywhere);
  if (found === undefined)
    throw failedPrecondition(
      "--init needs an init program without libraries, tini or catatonit, which this host hasn't: install one (Debian: apt-get install tini)",
    );
  return [{ type: "bind", source: found, destination: place, options: ["bind", "ro"] }];
}

/** True for the mount of an init. */
export const isInitMount = ({ destination }: Pick<SpecMount, "destination">): boolean => destination === place;

/** Puts the init in front of the command. To be the last step that touches it. */
export const withInit: SpecMiddleware = (spec) => ({
  ...spec,
  process: { ...spec.process, args: [...front, ...(spec.process.args ?? [])] },
});

/** True if a container has an init of the host's in front. */
export const hasInit = (spec: Pick<Spec, "process"> | undefined): boolean =>
  front.every((word, at) => spec?.process.args?.[at] === word);

/** The command of a container, as its user said it. */
export const commandOf = (spec: Pick<Spec, "process"> | undefined): readonly string[] =>
  (spec?.process.args ?? []).slice(hasInit(spec) ? front.length : 0);

function runsAnywhere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return !hasInterpreter(readFileSync(path));
  } catch {
    return false;
  }
}

/** True unless it is an ELF executable of 64 bits that is linked statically (elf(5): no program header of the type PT_INTERP). */
function hasInterpreter(bytes: Buffer): boolean {
  if (bytes.toString("latin1", 0, 4) !== "\x7fELF" || bytes[4] !== 2 || bytes[5] !== 1) return true;
  const [table, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  const interpreter = 3;
  return Array.from({ length: count }, (_, at) => bytes.readUInt32LE(table + at * size)).includes(interpreter);
}
