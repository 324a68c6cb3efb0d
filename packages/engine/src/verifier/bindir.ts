import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { canceled, HullError, unknown } from "@hull/errors";
import { encodeJson, mediaTypes, orderedDescriptor } from "@hull/oci";
import type { Descriptor } from "@hull/oci/descriptor";
import { isErrno } from "@hull/sys/errno";
import { type Logger, silent } from "../log.ts";
import type { ImageVerifier, Judgement } from "./index.ts";

export interface ProgramVerifierOptions {
  /** Directory of the programs. If it isn't there, all images are allowed. */
  directory: string;
  /** So many of them are asked, in the order of their names; all if negative. */
  max: number;
  /** How long one may take, ms. */
  timeout: number;
  /** Told what they write to stderr. */
  logger?: Logger;
}

/** What of a program's reason is kept, bytes. */
const maxReason = 32 * 1024;

/**
 * Programs of the administrator, each of which has to allow an image (containerd's docs/image-verification.md): called with `-name`,
 * `-digest` and `-stdin-media-type`, the descriptor's JSON on stdin; the status 0 allows, stdout is the reason.
 */
export class ProgramVerifier implements ImageVerifier {
  readonly #options: ProgramVerifierOptions;

  constructor(options: ProgramVerifierOptions) {
    this.#options = options;
  }

  async verify(name: string, descriptor: Descriptor, signal: AbortSignal): Promise<Judgement> {
    const { directory, max } = this.#options;
    let programs: string[];
    try {
      const entries = await readdir(directory, { withFileTypes: true });
      programs = entries.flatMap((entry) => (entry.isDirectory() ? [] : [entry.name])).sort();
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      return { ok: true, reason: `image verifier directory ${directory} does not exist` };
    }
    const reasons: string[] = [];
    for (const program of max < 0 ? programs : programs.slice(0, max)) {
      const { status, reason } = await this.#run(program, name, descriptor, signal);
      if (status !== 0)
        return { ok: false, reason: `verifier ${program} rejected image (exit code ${status}): ${reason}` };
      reasons.push(`${program} => ${reason}`);
    }
    return { ok: true, reason: reasons.length === 0 ? `no image verifier found in ${directory}` : reasons.join(", ") };
  }

  #run(
    program: string,
    name: string,
    descriptor: Descriptor,
    signal: AbortSignal,
  ): Promise<{ status: number; reason: string }> {
    const { directory, timeout, logger = silent } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; reason: string }>();
    const args = ["-name", name, "-digest", descriptor.digest, "-stdin-media-type", mediaTypes.descriptor];
    // A group of its own, so that what it started goes with it.
    const child = spawn(join(directory, program), args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    const end = (why: HullError): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
      child.stdout.destroy();
      child.stderr.destroy();
      reject(why);
    };
    const late = (): void =>
      end(unknown(`failed to call verifier ${program}: it took longer than ${timeout / 1000} s and was killed`));
    const timer = setTimeout(late, timeout);
    const abort = (): void => end(HullError.from(signal.reason ?? canceled("context canceled")));
    signal.addEventListener("abort", abort, { once: true });
    const chunks: Buffer[] = [];
    let kept = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      if (kept < maxReason) chunks.push(chunk.subarray(0, maxReason - kept));
      kept += chunk.length;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n"))
        if (line !== "") logger.log("debug", line, { image_verifier: program, stream: "stderr" });
    });
    // It need not read what it is told.
    child.stdin.on("error", () => {});
    child.stdin.end(encodeJson(orderedDescriptor(descriptor)));
    child.on("error", (error) =>
      reject(unknown(`failed to call verifier ${program}: ${error.message}`, { cause: error })),
    );
    child.on("close", (status, killed) => {
      if (status === null) reject(unknown(`failed to call verifier ${program}: ended by ${killed}`));
      else resolve({ status, reason: Buffer.concat(chunks).toString("utf8").trimEnd() });
    });
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    });
  }
}
