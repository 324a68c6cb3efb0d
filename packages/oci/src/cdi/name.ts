/** Names of CDI devices: `vendor/class=name` (CDI specification, "Kind" and "CDI device names"). */

import { invalidArgument } from "@hull/errors";

export interface QualifiedName {
  vendor: string;
  class: string;
  name: string;
}

const vendorOrClass = /^[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
const device = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;

/** The parts of a qualified name; undefined if it isn't one, e.g. a path. */
export function parseQualifiedName(text: string): QualifiedName | undefined {
  const [, vendor = "", kind = "", name = ""] = /^([^/=]+)\/([^=]+)=(.+)$/s.exec(text) ?? [];
  const right = vendorOrClass.test(vendor) && vendorOrClass.test(kind) && device.test(name);
  return right ? { vendor, class: kind, name } : undefined;
}

/** @throws InvalidArgument unless it is `vendor/class` */
export function parseKind(text: string): { vendor: string; class: string } {
  const [, vendor = "", kind = ""] = /^([^/]*)\/(.*)$/s.exec(text) ?? [];
  for (const [what, part] of [
    ["vendor", vendor],
    ["class", kind],
  ] as const) {
    if (!vendorOrClass.test(part))
      throw invalidArgument(
        `kind "${text}" of a CDI spec has the ${what} "${part}": it has to begin with a letter, end with a letter or digit, and hold letters, digits, "_", "-" and "." alone`,
      );
  }
  return { vendor, class: kind };
}

export const isDeviceName = (text: string): boolean => device.test(text);
