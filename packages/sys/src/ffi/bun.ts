/** Bun's foreign function interface. */

import { dlopen, FFIType, ptr, read } from "bun:ffi";
import type { CType } from "../calls.ts";
import { type ForeignFunctions, library } from "./index.ts";

const types = {
  int: FFIType.i32,
  uint: FFIType.u32,
  // The "fast" forms give a number where it is exact: no heap allocation comes between a call and the reading of errno.
  long: FFIType.i64_fast,
  ulong: FFIType.u64_fast,
  bytes: FFIType.ptr,
  string: FFIType.ptr,
  pointer: FFIType.ptr,
  void: FFIType.void,
} as const satisfies Record<CType, FFIType>;

type Pointer = Parameters<typeof read.i32>[0];

let errnoLocation: Pointer | undefined;

export const foreign: ForeignFunctions = {
  bind(symbol, { args, result }) {
    // A thread's errno stays where it is, and each worker has this module to itself. It is located before the first call, because locating
    // it makes calls that change it.
    if (errnoLocation === undefined) {
      const locate = dlopen(library, { __errno_location: { args: [], returns: FFIType.ptr } });
      errnoLocation = locate.symbols.__errno_location() as Pointer;
    }
    const opened = dlopen(library, { [symbol]: { args: args.map((type) => types[type]), returns: types[result] } });
    return opened.symbols[symbol];
  },
  errorNumber: () => (errnoLocation === undefined ? 0 : read.i32(errnoLocation, 0)),
  address: (bytes) => ptr(bytes),
};
