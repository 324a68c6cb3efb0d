/** A size as containerd's clients print it: IEC units with one digit behind the point, bytes without ("1.0 MiB", "512.0 B"). */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** A size in decimal units with four digits, as Docker's units package says it: "1.068MB", "295B". */
export function formatDecimalBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** How long ago, in words, as Docker's units package says it: "Less than a second", "5 minutes", "About an hour". */
export function formatAge(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(milliseconds / 3_600_000);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(milliseconds / 3_600_000 / 24 / 365)} years`;
}

/** A duration as Go prints it: `24h0m0s`, `1.5s`, `0s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 0) return `-${formatDuration(-milliseconds)}`;
  if (milliseconds === 0) return "0s";
  if (milliseconds < 1e-3) return `${round(milliseconds * 1e6)}ns`;
  if (milliseconds < 1) return `${round(milliseconds * 1e3)}µs`;
  if (milliseconds < 1000) return `${round(milliseconds)}ms`;
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor(milliseconds / 60_000) % 60;
  const seconds = `${round((milliseconds % 60_000) / 1000)}s`;
  return `${hours > 0 ? `${hours}h` : ""}${milliseconds >= 60_000 ? `${minutes}m` : ""}${seconds}`;
}

/** Nine digits behind the point, no trailing zeros. */
function round(value: number): string {
  return String(Number(value.toFixed(9)));
}
