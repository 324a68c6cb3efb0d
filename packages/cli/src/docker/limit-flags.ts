import type { Resources } from "@hull/oci/spec";
import { defineFlags, type FlagValues } from "../command/index.ts";
import { parseSize } from "./size.ts";

/** Limits that a container is made with, and that can be changed. */
export const limitFlags = defineFlags({
  "memory-swap": { kind: "text", value: "SIZE", summary: "Limit of memory and swap together; -1: none" },
  "memory-reservation": { kind: "text", value: "SIZE", summary: "Memory that is left to it when memory is short" },
  "cpu-shares": { kind: "integer", value: "NUMBER", summary: "Relative weight of processor time" },
  "cpu-period": { kind: "integer", value: "MICROSECONDS", summary: "Over which processor time is counted" },
  "cpu-quota": { kind: "integer", value: "MICROSECONDS", summary: "Of processor time in a period; -1: no limit" },
  "cpuset-cpus": { kind: "text", value: "LIST", summary: "Processors to run on, e.g. 0-2,4" },
  "cpuset-mems": { kind: "text", value: "LIST", summary: "Memory nodes to use" },
  "blkio-weight": { kind: "integer", value: "10-1000", summary: "Relative weight of block I/O" },
});

/** What the flags say, with `more` of memory and processors; only what is given. @throws InvalidArgument */
export function limitsOf(
  flags: FlagValues<typeof limitFlags>,
  more: { memory?: Resources["memory"]; cpu?: Resources["cpu"] } = {},
): Resources {
  const size = (text: string | undefined, what: string): number | undefined =>
    text === undefined ? undefined : text === "-1" ? -1 : parseSize(text, what);
  const cpu = given({
    shares: flags["cpu-shares"],
    period: flags["cpu-period"],
    quota: flags["cpu-quota"],
    cpus: flags["cpuset-cpus"],
    mems: flags["cpuset-mems"],
    ...given(more.cpu ?? {}),
  });
  const memory = given({
    swap: size(flags["memory-swap"], "limit of memory and swap"),
    reservation: size(flags["memory-reservation"], "memory reservation"),
    ...given(more.memory ?? {}),
  });
  const weight = flags["blkio-weight"];
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
    ...(weight === undefined ? {} : { blockIO: { weight } }),
  };
}

/** The same without what wasn't given; undefined if nothing was. */
function given<T extends object>(values: T): Partial<T> | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Partial<T>);
}
