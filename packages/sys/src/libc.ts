/**
 * The one door to libc, by Bun's foreign function interface. Nothing else knows how a C function is reached.
 *
 * A function is looked up and its trampoline compiled when it is first used (about 50 µs each), so that a program which
 * calls three of them does not pay for ninety.
 */

import { dlopen, FFIType, ptr, read } from "bun:ffi";
import type { Call, CallName, CType } from "./calls.ts";
import { calls } from "./calls.ts";

/** An address in this process's memory. */
export type Address = number;

type Argument<T extends CType> = T extends "bytes" | "string"
  ? Uint8Array | BigUint64Array | null
  : T extends "long" | "ulong"
    ? number | bigint
    : number;

type Result<T extends CType> = T extends "void" ? undefined : number;

type Arguments<T extends readonly CType[]> = { -readonly [Index in keyof T]: Argument<T[Index]> };

type Functions = {
  readonly [Name in CallName]: (
    ...args: Arguments<(typeof calls)[Name]["args"]>
  ) => Result<(typeof calls)[Name]["result"]>;
};

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

const library = "libc.so.6";

function bind(name: CallName): unknown {
  // A thread's errno stays where it is, and each worker has this module to itself. It is located before the first call,
  // because locating it makes calls that change it.
  if (name !== "__errno_location") errnoLocation ??= libc.__errno_location() as Parameters<typeof read.i32>[0];
  const { symbol = name, args, result }: Call = calls[name];
  const opened = dlopen(library, { [symbol]: { args: args.map((type) => types[type]), returns: types[result] } });
  return opened.symbols[symbol];
}

let errnoLocation: Parameters<typeof read.i32>[0] | undefined;

function lazyFunctions(): Functions {
  const functions = {};
  for (const name of Object.keys(calls) as CallName[]) {
    Object.defineProperty(functions, name, {
      configurable: true,
      enumerable: true,
      get() {
        const value = bind(name);
        Object.defineProperty(functions, name, { value, enumerable: true });
        return value;
      },
    });
  }
  return functions as Functions;
}

/** libc's functions, by the names in the table. A result of -1 (mostly) says that it failed; see `lastErrno`. */
export const libc: Functions = lazyFunctions();

/**
 * The error number that the calling thread's last failed call left.
 *
 * Read it first thing after the call: a string made in between can start a garbage collection that makes calls of its own.
 */
export function lastErrno(): number {
  return errnoLocation === undefined ? 0 : read.i32(errnoLocation, 0);
}

/**
 * Where a buffer of ours lies. The caller keeps the buffer reachable, and does not resize it, while the address is in use.
 */
export function addressOf(bytes: NodeJS.TypedArray): Address {
  // A small array is kept inside its object until someone asks for its buffer; then it moves. Let it move now.
  void bytes.buffer;
  return ptr(bytes);
}
