import { type ExecSyncRequest, ExecSyncResponse } from "@hull/api/gen/cri/v1/cri";
import { wrapped } from "../wrap.ts";
import { readInto } from "./copy.ts";
import { type Drain, type ExecOptions, runCommand } from "./exec.ts";

/** The most that is kept of each output. */
const maximumOutput = 16 * 1024 * 1024;

/**
 * Runs a command in a container and answers with its output, of which at most 16 MiB each are kept, and its exit code.
 *
 * @param containerId whole
 * @throws DeadlineExceeded when the request's time-out (seconds; 0: none) was up, Canceled when the caller has gone; the command is killed
 */
export async function execSync(
  options: ExecOptions,
  containerId: string,
  { cmd, timeout }: Pick<ExecSyncRequest, "cmd" | "timeout">,
  signal: AbortSignal,
): Promise<ExecSyncResponse> {
  const [stdout, stderr] = [new Kept(), new Kept()];
  try {
    const exitCode = await runCommand(options, {
      ...{ containerId, args: cmd, tty: false },
      ...{ stdout: stdout.drain, stderr: stderr.drain },
      timeoutMs: Math.max(0, Number(timeout)) * 1000,
      signal,
    });
    return ExecSyncResponse.fromPartial({ stdout: stdout.bytes, stderr: stderr.bytes, exitCode });
  } catch (error) {
    throw wrapped("failed to exec in container", error);
  }
}

/** What was read of an output. */
class Kept {
  readonly #chunks: Uint8Array[] = [];
  #size = 0;

  readonly drain: Drain = (fd, signal) =>
    readInto(
      fd,
      (buffer, from, to) => {
        const end = Math.min(to, from + maximumOutput - this.#size);
        if (end > from) this.#chunks.push(buffer.slice(from, end));
        this.#size += Math.max(0, end - from);
        return undefined;
      },
      signal,
    );

  get bytes(): Uint8Array {
    return this.#chunks.length === 1 ? (this.#chunks[0] ?? new Uint8Array(0)) : Buffer.concat(this.#chunks);
  }
}
