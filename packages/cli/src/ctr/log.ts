import type { Host } from "../command/index.ts";

/** One line of what went wrong beside the result, as containerd's clients log: `time="…" level=warning msg="…" error="…"`. */
export function logLine(
  host: Host,
  level: "error" | "warning" | "info" | "debug",
  message: string,
  fields: Record<string, string> = {},
): void {
  const time = `${new Date().toISOString().slice(0, 19)}Z`;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  host.err(`time="${time}" level=${level} msg=${JSON.stringify(message)}${rest.join("")}\n`);
}
