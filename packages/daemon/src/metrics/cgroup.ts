import type { Sample } from "./exposition.ts";

/** One metric of a cgroup: `container_<name>`, and how it is read from the message that a shim sends. */
export interface CgroupMetric<Stats> {
  readonly name: string;
  readonly help: string;
  /** Nothing if the message hasn't that part. */
  values(stats: Stats): readonly Sample[];
}

/** A metric of one value, missing where its part of the message is. */
export const single = <Stats>(
  name: string,
  help: string,
  read: (stats: Stats) => bigint | undefined,
): CgroupMetric<Stats> => ({
  name,
  help,
  values: (stats) => {
    const value = read(stats);
    return value === undefined ? [] : [{ value }];
  },
});
