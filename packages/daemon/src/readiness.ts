import { closeSync, writeSync } from "node:fs";

/** Names the descriptor on which whoever started the daemon waits to hear that it serves. */
export const readyVariable = "HULL_READY_FD";

/** What the one line says: `ready`, or `error ` and the reason why the daemon doesn't start. The end without a line is a crash. */
export const readyLine = "ready";
export const errorPrefix = "error ";

/** Tells whoever started the daemon, if it asked to be told, how the start went. Only the first call counts. */
export interface Readiness {
  ready(): void;
  failed(reason: string): void;
}

/** Takes the descriptor that the environment names, so that no child hears of it. */
export function takeReadiness(env: NodeJS.ProcessEnv = process.env): Readiness {
  const text = env[readyVariable];
  delete env[readyVariable];
  let descriptor = text !== undefined && /^\d{1,6}$/.test(text) && Number(text) > 2 ? Number(text) : undefined;
  const tell = (line: string): void => {
    if (descriptor === undefined) return;
    const fd = descriptor;
    descriptor = undefined;
    try {
      writeSync(fd, `${line.replaceAll("\n", " ")}\n`);
      closeSync(fd);
    } catch {
      // Whoever started the daemon has gone, which is no reason not to serve.
    }
  };
  return { ready: () => tell(readyLine), failed: (reason) => tell(errorPrefix + reason) };
}
