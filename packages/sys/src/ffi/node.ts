/**
 * koffi, for Node. It is loaded when the first call is made: a program that makes none, as a client of a daemon, does without it.
 *
 * It keeps a call's errno for whoever asks next, whatever the runtime has done since.
 */

import { createRequire } from "node:module";
import { failedPrecondition } from "@hull/errors";
import type { CType } from "../calls.ts";
import { type ForeignFunctions, library } from "./index.ts";

type Koffi = typeof import("koffi");

const types: Readonly<Record<CType, string>> = {
  int: "int",
  uint: "uint",
  // int64_t comes back as a number where that is exact.
  long: "int64_t",
  ulong: "uint64_t",
  bytes: "void *",
  string: "void *",
  pointer: "uintptr_t",
  void: "void",
};

let loaded: { koffi: Koffi; libc: ReturnType<Koffi["load"]> } | undefined;

function load(): NonNullable<typeof loaded> {
  if (loaded !== undefined) return loaded;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    loaded = { koffi, libc: koffi.load(library) };
    return loaded;
  } catch (cause) {
    throw failedPrecondition('system calls under Node need the package "koffi": npm install koffi', { cause });
  }
}

export const foreign: ForeignFunctions = {
  bind: (symbol, { args, result }) =>
    load().libc.func(
      symbol,
      types[result],
      args.map((type) => types[type]),
    ),
  errorNumber: () => loaded?.koffi.errno() ?? 0,
  address: (bytes) => Number(load().koffi.address(bytes)),
};
