import { globSync, realpathSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { HullError } from "@hull/errors";
import type { BlockIo } from "@hull/oci/spec";
import { splitDevice } from "@hull/sys/files";
import { CtrError } from "./errors.ts";

/** What a class may say for all devices, or for some. Source: the documentation of goresctrl's blockio package. */
const limits = {
  ThrottleReadBps: "throttleReadBpsDevice",
  ThrottleWriteBps: "throttleWriteBpsDevice",
  ThrottleReadIOPS: "throttleReadIOPSDevice",
  ThrottleWriteIOPS: "throttleWriteIOPSDevice",
} as const;

/**
 * The block I/O settings of a class, from the file that defines classes (YAML or JSON: `Classes: {name: [{Devices, Weight, Throttle…}]}`).
 * @throws CtrError
 */
export async function blockIoOf(name: string, file: string | undefined): Promise<BlockIo> {
  const classes = file === undefined ? {} : await readClasses(file);
  const parts = classes[name];
  if (parts === undefined)
    throw new CtrError(`blockio-class error: no OCI BlockIO parameters for class ${JSON.stringify(name)}`);
  const result: BlockIo = {};
  for (const part of parts) apply(result, part);
  return result;
}

async function readClasses(path: string): Promise<Readonly<Record<string, readonly Record<string, unknown>[]>>> {
  const wrong = (why: string): CtrError => new CtrError(`blockio-config-file error: ${path}: ${why}`);
  let content: unknown;
  try {
    const { parse } = await import("yaml");
    content = parse(await readFile(path, "utf8"));
  } catch (error) {
    throw wrong(HullError.from(error).message);
  }
  const classes = isRecord(content) ? content.Classes : undefined;
  if (!isRecord(classes)) throw wrong('it has no "Classes"');
  for (const [name, parts] of Object.entries(classes)) {
    if (!Array.isArray(parts) || !parts.every(isRecord)) throw wrong(`class "${name}" is no list of parameters`);
  }
  return classes as Record<string, Record<string, unknown>[]>;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function apply(result: BlockIo, part: Record<string, unknown>): void {
  const { Devices: patterns, Weight: weightText, ...rates } = part;
  for (const key of Object.keys(rates))
    if (!Object.hasOwn(limits, key)) throw new CtrError(`blockio-config-file error: unknown parameter "${key}"`);
  const weight = weightText === undefined ? undefined : quantity("Weight", weightText, 10, 1000);
  if (!Array.isArray(patterns) || patterns.length === 0) {
    if (Object.keys(rates).length > 0)
      throw new CtrError("blockio-config-file error: limits are for devices: name them in Devices");
    if (weight !== undefined) result.weight = weight;
    return;
  }
  for (const device of patterns.flatMap((pattern) => blockDevices(String(pattern)))) {
    if (weight !== undefined) result.weightDevice = [...(result.weightDevice ?? []), { ...device, weight }];
    for (const [key, field] of Object.entries(limits)) {
      if (rates[key] === undefined) continue;
      const rate = quantity(key, rates[key], 0, Number.MAX_SAFE_INTEGER);
      result[field] = [...(result[field] ?? []), { ...device, rate }];
    }
  }
}

/** Whole disks that a pattern of file names means. */
function blockDevices(pattern: string): { major: number; minor: number }[] {
  const nodes = new Set(globSync(pattern).map((path) => realpathSync(path)));
  return [...nodes].flatMap((path) => {
    const info = statSync(path);
    return info.isBlockDevice() ? [splitDevice(BigInt(info.rdev))] : [];
  });
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A number as Kubernetes writes it, e.g. `64M`. */
function quantity(name: string, value: unknown, least: number, most: number): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([kMGT]i?|Ki)?$/.exec(String(value)) ?? [];
  const number = Number(digits) * (units[unit] ?? Number.NaN);
  if (digits === "" || !Number.isFinite(number))
    throw new CtrError(`blockio-config-file error: syntax error in "${name}" ("${String(value)}")`);
  if (number < least || number > most)
    throw new CtrError(`blockio-config-file error: value of "${name}" (${number}) is not between ${least} and ${most}`);
  return Math.round(number);
}
