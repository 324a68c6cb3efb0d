import { unknown } from "@hull/errors";

/** Powers of ten, and of two, by suffix: k8s.io/apimachinery, pkg/api/resource, "Quantity". */
const decimal: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binary: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

/** A whole number, rounded away from zero, of a Kubernetes quantity: `10M`, `1.5Gi`, `2e3`. @throws Unknown, in the words of Kubernetes */
export function parseQuantity(text: string): bigint {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?$/.exec(text);
  const [, sign, whole = "", fraction = "", suffix = "", exponent] = match ?? [];
  if (match === null || whole + fraction === "")
    throw unknown("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  const digits = BigInt(whole + fraction);
  const shift = binary[suffix];
  const power = (shift === undefined ? (decimal[suffix] ?? 0) + Number(exponent ?? 0) : 0) - fraction.length;
  const scaled = digits * (power > 0 ? 10n ** BigInt(power) : 1n) * (shift === undefined ? 1n : 1n << shift);
  const divisor = power < 0 ? 10n ** BigInt(-power) : 1n;
  const rounded = (scaled + divisor - 1n) / divisor;
  return sign === "-" ? -rounded : rounded;
}
