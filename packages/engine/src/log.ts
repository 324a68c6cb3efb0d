/** Severities, from the least to the most severe; names as in containerd's `--log-level`. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "panic"] as const;

export type LogLevel = (typeof logLevels)[number];

/** What stands beside a message: short values, never a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the engine tells what it does. The daemon writes it to its standard error; an embedder may do as it likes. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/** Drops everything. */
export const silent: Logger = { log() {} };
