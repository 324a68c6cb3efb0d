import { invalidArgument } from "@hull/errors";

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Reads an amount of memory as docker does: `512m`, `1.5g`, `1073741824`; units of 1024. @throws InvalidArgument */
export function parseSize(text: string, what: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([bkmgt]?)i?b?$/i.exec(text) ?? [];
  const factor = units[unit.toLowerCase()];
  if (number === undefined || factor === undefined)
    throw invalidArgument(`${what} "${text}" is not a size: write a number with b, k, m or g behind it, e.g. 512m`);
  return Math.floor(Number(number) * factor);
}
