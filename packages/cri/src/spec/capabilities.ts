import type { Capability } from "@hull/api/gen/cri/v1/cri";
import type { Capabilities, SpecMiddleware } from "@hull/oci/spec";

const isAll = (name: string): boolean => name.toUpperCase() === "ALL";
/** The CRI writes them without the prefix. */
const named = (names: readonly string[]): string[] =>
  names.filter((name) => !isAll(name)).map((name) => `CAP_${name.toUpperCase()}`);

/**
 * Capabilities added to, and then taken from, those that are there; `ALL` counts before what is named, so that all but one can be given, or
 * one alone. Ambient ones, which survive the start of a program by an unprivileged user, are added to all the other sets, as the kernel wants.
 */
export const withRequestedCapabilities =
  (asked: Capability | undefined, all: readonly string[]): SpecMiddleware =>
  (spec) => {
    const { ambient: _ambient, ...own } = spec.process.capabilities ?? {};
    return {
      ...spec,
      process: { ...spec.process, capabilities: asked === undefined ? own : changed(own, asked, all) },
    };
  };

function changed(own: Capabilities, asked: Capability, all: readonly string[]): Capabilities {
  const ambient = named(asked.addAmbientCapabilities);
  const added = [...named(asked.addCapabilities), ...ambient];
  const dropped = new Set(named(asked.dropCapabilities));
  const every = asked.addCapabilities.some(isAll) ? all : undefined;
  const none = asked.dropCapabilities.some(isAll);
  const change = (set: readonly string[] = []): string[] => {
    const start = none ? [] : (every ?? set);
    return [...new Set([...start, ...added])].filter((name) => !dropped.has(name));
  };
  const sets: Capabilities = {
    bounding: change(own.bounding),
    effective: change(own.effective),
    permitted: change(own.permitted),
    inheritable: [...new Set([...(none ? [] : (own.inheritable ?? [])), ...ambient])].filter(
      (name) => !dropped.has(name),
    ),
    ambient: ambient.filter((name) => !dropped.has(name)),
  };
  return Object.fromEntries(Object.entries(sets).filter(([, names]) => names.length > 0));
}
