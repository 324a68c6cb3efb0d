/** What a command has of the world outside: its output and environment, so that tests can give another. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output; resolves when more may be written. A reader that has gone ends the program quietly. */
  out(data: string | Uint8Array): Promise<void>;
  /** Writes to standard error. */
  err(text: string): void;
}

/** The process's own. */
export const processHost: Host = {
  env: process.env,
  out: (data) =>
    new Promise((resolve, reject) => {
      process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
    }),
  err: (text) => {
    process.stderr.write(text);
  },
};
