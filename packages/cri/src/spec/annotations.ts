/** Annotations of specs: those that containerd writes for shims and runtimes, and those of the pod that a handler lets through. */

import type { PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import { annotationNames as names } from "./annotation-names.ts";

/** What a pattern of Go's `path.Match` means: `*`, `?` and `[…]` within one part of a path, `\` before what is meant itself. */
function matcher(pattern: string): RegExp | undefined {
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? "";
    if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const range = /^\[(\^?)((?:\\.|[^\]\\])+)\]/s.exec(pattern.slice(at));
      if (range === null) return undefined;
      source += `[${range[1] ?? ""}${(range[2] ?? "").replace(/[[&~|^]/g, "\\$&")}]`;
      at += range[0].length - 1;
    } else if (character === "\\") {
      const next = pattern[++at];
      if (next === undefined) return undefined;
      source += next.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    } else source += character.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  }
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    // A range whose ends are the wrong way round: it matches nothing, as in Go.
    return undefined;
  }
}

/** Annotations whose names a handler's patterns let through. A malformed pattern matches nothing. */
export function passedAnnotations(
  annotations: Readonly<Record<string, string>>,
  patterns: readonly string[],
): Record<string, string> {
  if (patterns.length === 0) return {};
  const matchers = patterns.map(matcher);
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => matchers.some((expression) => expression?.test(name))),
  );
}

const podAnnotations = (podId: string, { metadata }: PodSandboxConfig): Record<string, string> => ({
  [names.sandboxId]: podId,
  [names.sandboxNamespace]: metadata?.namespace ?? "",
  [names.sandboxUid]: metadata?.uid ?? "",
  [names.sandboxName]: metadata?.name ?? "",
});

/** Of a container. */
export const containerAnnotations = (
  podId: string,
  pod: PodSandboxConfig,
  containerName: string,
  imageName: string,
): Record<string, string> => ({
  ...podAnnotations(podId, pod),
  [names.containerName]: containerName,
  [names.imageName]: imageName,
  [names.containerType]: "container",
});

/** Of a pod's pause process; with what the kubelet says that the whole pod will need, for runtimes that start virtual machines. */
export function pauseAnnotations(podId: string, pod: PodSandboxConfig, imageName: string): Record<string, string> {
  const resources = pod.linux?.resources;
  return {
    ...(resources === undefined
      ? {}
      : {
          [names.sandboxCpuPeriod]: String(resources.cpuPeriod),
          [names.sandboxCpuQuota]: String(resources.cpuQuota),
          [names.sandboxCpuShares]: String(resources.cpuShares),
          [names.sandboxMemory]: String(resources.memoryLimitInBytes),
        }),
    ...podAnnotations(podId, pod),
    [names.sandboxLogDirectory]: pod.logDirectory,
    [names.sandboxImageName]: imageName,
    [names.containerType]: "sandbox",
  };
}
