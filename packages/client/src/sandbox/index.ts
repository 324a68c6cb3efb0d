/**
 * Programs that nobody trusts: one call runs one, within limits, and takes all of it away again.
 *
 *     const { outcome, stdout } = await hull.sandbox("python", { command: ["python3", "-c", code], timeMs: 5000 });
 *
 *   limits, isolation ──► workspace, container ──► runs until it ends, or a limit ends it ──► what it used, files ──► nothing is left
 *
 * What holds it: a root file system that can't be written, `/work` and `/tmp` of limited size, no capabilities, containerd's seccomp profile,
 * no new privileges, no network, namespaces of its own, and a control group. What a program that was killed in the middle left, the next call
 * takes away.
 */
import type { Hull } from "../sdk/hull.ts";
import type { Image } from "../sdk/images.ts";
import type { Isolation, SandboxOptions } from "./options.ts";

export type { AllowedPeer, Isolation, SandboxFile, SandboxOptions } from "./options.ts";

/**
 * Why a sandbox ended: by itself, or by a limit. `memory`: the kernel ended a process of it for want of memory. `disk`: it failed with its
 * files full.
 */
export type SandboxOutcome = "exited" | "timeout" | "memory" | "disk" | "output";

/** What became of a sandbox. */
export interface SandboxResult {
  readonly outcome: SandboxOutcome;
  /** Its status; 128 and the signal's number if a signal ended it (137: killed). */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** True if there was more output than the limit. */
  readonly truncated: boolean;
  /** The files of `take` that are there: regular files, reached without a link. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly usage: {
    /** Processor time, ms. */
    readonly cpuMs: number;
    /** Most memory at any time, bytes; 0 where the kernel doesn't tell. */
    readonly memoryPeak: number;
    /** Time from its start to its end, ms. */
    readonly wallMs: number;
    /** What its files took at the end, bytes. */
    readonly diskBytes: number;
  };
  readonly confinement: {
    readonly isolation: Isolation;
    /** Whether its ids were those of a user namespace of its own, which are nobody's on the host. */
    readonly userNamespace: boolean;
    /** Its user id as the host has it. */
    readonly hostUid: number;
  };
}

/**
 * Runs a program that isn't trusted, in a container of an image, and gives what it said and how it ended. That a limit ended it is a result,
 * and no error.
 *
 * @throws InvalidArgument for options that can't be; FailedPrecondition for what the host lacks, saying what; Canceled by the signal
 */
export async function runSandboxed(hull: Hull, image: string | Image, options: SandboxOptions): Promise<SandboxResult> {
  // What mounts is for those who have sandboxes.
  const { run } = await import("./sandbox.ts");
  return await run(hull, image, options);
}
