import type { Hook, Spec } from "@hull/oci/spec";
import type { HookRequest } from "./hook.ts";
import { networkLabelNames } from "./labels.ts";

type Labelled = { readonly labels: Readonly<Record<string, string>> };

/** A network that a container is on whenever it runs. */
export interface ConnectedNetwork {
  readonly name: string;
  /** Of the container: eth0, eth1, … */
  readonly interface: string;
  /** True if the container's ports are published by it. */
  readonly ports?: boolean;
}

/** Interface of a container's first network. */
export const firstInterface = "eth0";

/** The networks of a container's record, the first one first; none for "none" and "host". */
export function networksOf({ labels }: Labelled): readonly ConnectedNetwork[] {
  const first = labels[networkLabelNames.network] ?? "none";
  const list = labels[networkLabelNames.networks];
  if (list === undefined)
    return first === "none" || first === "host" ? [] : [{ name: first, interface: firstInterface, ports: true }];
  try {
    const parsed: unknown = JSON.parse(list);
    return Array.isArray(parsed) ? (parsed as ConnectedNetwork[]) : [];
  } catch {
    return [];
  }
}

/** What is kept in the record of a container whose networks were changed. */
export const labelsOfNetworks = (networks: readonly ConnectedNetwork[]): Record<string, string> => ({
  [networkLabelNames.network]: networks[0]?.name ?? "none",
  [networkLabelNames.networks]: JSON.stringify(networks),
});

/** The interface that a container's next network gets: the first name that is free. */
export function nextInterface(networks: readonly ConnectedNetwork[]): string {
  const taken = new Set(networks.map((network) => network.interface));
  for (let number = 0; ; number++) if (!taken.has(`eth${number}`)) return `eth${number}`;
}

/** What the hooks of a container's spec ask for a network; undefined if it has none for it. */
export const requestFor = (spec: Spec, network: string): HookRequest | undefined =>
  (spec.hooks?.poststop ?? []).map(requestOf).find((request) => request?.network === network);

/** The spec without its hooks for a network. */
export function withoutNetwork(spec: Spec, network: string): Spec {
  const others = (hooks: readonly Hook[] = []): Hook[] => hooks.filter((hook) => requestOf(hook)?.network !== network);
  const { createRuntime, poststop } = spec.hooks ?? {};
  return { ...spec, hooks: { ...spec.hooks, createRuntime: others(createRuntime), poststop: others(poststop) } };
}

/** What a hook of hull's asks for; undefined for any other. */
function requestOf({ args = [] }: Hook): HookRequest | undefined {
  if (!args.includes("network-hook")) return undefined;
  try {
    return JSON.parse(args.at(-1) ?? "") as HookRequest;
  } catch {
    return undefined;
  }
}
