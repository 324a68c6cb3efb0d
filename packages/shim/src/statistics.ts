/** What a container has used, also when it has ended. */

import type { Spec } from "./bundle.ts";
import { cgroupPaths } from "./cgroup.ts";

/** In a spec, by "true": what the container has used is told also after its end, until it is deleted. */
const keepAnnotation = "hull.dev/keep-statistics";

/** A message of containerd's cgroups package, encoded. */
export interface Statistics {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Whether the control groups are to be read once more before they are removed, which takes a moment at every end. */
export const keepsStatistics = ({ annotations }: Spec): boolean => annotations?.[keepAnnotation] === "true";

/** @param cgroup text of /proc/<pid>/cgroup */
export async function statisticsOf(cgroup: string): Promise<Statistics> {
  const paths = cgroupPaths(cgroup);
  // Loaded when first asked for: most shims never are.
  if (paths.v1.has("memory") || paths.v2 === undefined) {
    const { metricsV1 } = await import("./metrics-v1.ts");
    return { typeUrl: "io.containerd.cgroups.v1.Metrics", value: metricsV1(paths) };
  }
  const { metricsV2 } = await import("./metrics-v2.ts");
  return { typeUrl: "io.containerd.cgroups.v2.Metrics", value: metricsV2(paths.v2) };
}
