/** What a command has of the world outside: its output and environment, so that tests can give another. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output; resolves when more may be written. A reader that has gone ends the program quietly. */
  out(data: string | Uint8Array): Promise<void>;
  /** Writes to standard error. */
  err(text: string): void;
}

/** The status of a program that SIGPIPE ends, which is what happens to others here. */
const brokenPipe = 141;

/** The process's own. */
export const processHost: Host = {
  env: process.env,
  out: (data) =>
    new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        if ("code" in error && error.code === "EPIPE") process.exit(brokenPipe);
        reject(error);
      };
      // The runtime tells of a reader that has gone by an exception, by the callback or by an event.
      if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", failed);
      try {
        process.stdout.write(data, (error) => (error ? failed(error) : resolve()));
      } catch (error) {
        failed(error instanceof Error ? error : new Error(String(error)));
      }
    }),
  err: (text) => {
    process.stderr.write(text);
  },
};
