import { type LogFields, type Logger, type LogLevel, logLevels } from "@hull/engine/log";
import { invalidArgument } from "@hull/errors";

export type LogFormat = "text" | "json";

/** How containerd's logs spell the levels. */
const spelling: Readonly<Record<LogLevel, string>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
  fatal: "fatal",
  panic: "panic",
};

/** What can be written without quotes in a text log. */
const bare = /^[a-zA-Z0-9\-._/@^+]+$/;

/** A level by its name; `warning` is one too. @throws InvalidArgument */
export function parseLogLevel(name: string): LogLevel {
  const wanted = name.toLowerCase() === "warning" ? "warn" : name.toLowerCase();
  const level = logLevels.find((candidate) => candidate === wanted);
  if (level === undefined) throw invalidArgument(`log level must be one of ${logLevels.join(", ")}, not "${name}"`);
  return level;
}

/** A log whose level can be changed while it is written to. */
export interface LevelLogger extends Logger {
  level: LogLevel;
}

/**
 * Logs a line per message: text `time="…" level=info msg="…" key=value`, or the same as JSON, as logrus does. `write` gets whole lines.
 */
export function createLogger(options: {
  level: LogLevel;
  format: LogFormat;
  write: (line: string) => void;
  now?: () => Date;
}): LevelLogger {
  let threshold = logLevels.indexOf(options.level);
  const format = options.format === "json" ? formatJson : formatText;
  const now = options.now ?? (() => new Date());
  return {
    get level() {
      return logLevels[threshold] ?? options.level;
    },
    set level(level) {
      threshold = logLevels.indexOf(level);
    },
    log(level, message, fields = {}) {
      if (logLevels.indexOf(level) < threshold) return;
      options.write(`${format(now().toISOString(), spelling[level], message, fields)}\n`);
    },
  };
}

function formatText(time: string, level: string, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${quote(textOf(value))}`);
  return `time="${time}" level=${level} msg=${quote(message)}${pairs.join("")}`;
}

function formatJson(time: string, level: string, message: string, fields: LogFields): string {
  const plain = Object.entries(fields).map(([key, value]) => [key, typeof value === "object" ? textOf(value) : value]);
  return JSON.stringify({ ...Object.fromEntries(plain), level, msg: message, time }, (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
}

function textOf(value: unknown): string {
  if (value instanceof Error) return value.message;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// JSON's escapes are ones that logrus' readers know, and keep a message on its line.
const quote = (text: string): string => (bare.test(text) ? text : JSON.stringify(text));
