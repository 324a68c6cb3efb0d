/** Numbers that stand for bytes. */

import { crc32 as zlibCrc32 } from "node:zlib";
import { host } from "#host";

export const { hash32 } = host;

/** CRC-32 as of zip and gzip. */
export const crc32 = (bytes: Uint8Array): number => zlibCrc32(bytes);
