import type { IdMapping } from "@hull/oci/spec";
import { CtrError } from "./errors.ts";

/** Reads `container-id:host-id:length`. @throws CtrError in ctr's words */
export function parseIdMapping(text: string): IdMapping {
  const parts = text.split(":");
  if (parts.length !== 3) throw new CtrError("user namespace mappings require the format `container-id:host-id:size`");
  const number = (index: number, what: string): number => {
    const part = parts[index] ?? "";
    const value = /^(\d+|0x[0-9a-fA-F]+)$/.test(part) ? Number(part) : Number.NaN;
    if (Number.isNaN(value))
      throw new CtrError(
        `invalid ${what} for user namespace remapping: strconv.ParseUint: parsing "${part}": invalid syntax`,
      );
    if (value > 0xffff_ffff)
      throw new CtrError(
        `invalid ${what} for user namespace remapping: strconv.ParseUint: parsing "${part}": value out of range`,
      );
    return value;
  };
  return { containerID: number(0, "container id"), hostID: number(1, "host id"), size: number(2, "size") };
}
