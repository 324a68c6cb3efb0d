/**
 * The one door to libc. Nothing else knows how a C function is reached; by which loader, the runtime decides (`ffi/`).
 *
 * A function is looked up and its trampoline compiled when it is first used (about 50 µs each), so that a program which
 * calls three of them does not pay for ninety.
 */

import { foreign } from "#ffi";
import type { Call, CallName, CType } from "./calls.ts";
import { calls } from "./calls.ts";
import type { Address } from "./ffi/index.ts";

export type { Address } from "./ffi/index.ts";

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

function bind(name: CallName): unknown {
  const call: Call = calls[name];
  return foreign.bind(call.symbol ?? name, call);
}

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
  return foreign.errorNumber();
}

/**
 * Where a buffer of ours lies. The caller keeps the buffer reachable, and does not resize it, while the address is in use.
 */
export function addressOf(bytes: NodeJS.TypedArray): Address {
  // A small array is kept inside its object until someone asks for its buffer; then it moves. Let it move now.
  void bytes.buffer;
  return foreign.address(bytes);
}
