/**
 * A caller of CNI plugins: it attaches containers to networks that others' programs make.
 *
 *   loadNetworks(directory) ──► Cni.add(network, attachment) ──► result
 *                                    │        … check(…) …
 *                                    └──────► Cni.remove(network, attachment)
 *
 * A network is a list of plugins, each a program that is called in order to add and in reverse to remove; what one answers is given to the
 * next. What the last one answered is kept in a file, so that removing and checking find it again after any crash: the caller holds no
 * state. Adding that fails is undone by removing, which every plugin has to bear for what it never added.
 *
 * The protocol, the configuration and the results: CNI specification 1.1.0, https://www.cni.dev/docs/spec/. The cache has the layout of
 * containerd's other clients of CNI, by which one finds what the other added.
 */
export { addressBytes, formatAddress } from "./address.ts";
export { type Attachment, Cni, type CniOptions, type KeptAttachment } from "./cni.ts";
export { findNetwork, loadNetworks, type Network, type NetworkPlugin, parseNetwork } from "./network.ts";
export { CniError, type PluginEnd, type PluginRun, type RunPlugin, runPlugin } from "./plugin.ts";
export { addressesOf, parseResult, type Result, type ResultAddress } from "./result.ts";
