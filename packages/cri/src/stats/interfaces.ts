/** What went through the network interfaces of a pod. Format: net/core/net-procfs.c of the kernel (/proc/net/dev), proc(5). */

import { isErrno } from "@hull/sys/errno";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { directoryName, fileName, type SmallFiles } from "@hull/sys/small-file";

/** Counts of one direction. */
export interface Traffic {
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly errors: bigint;
  readonly dropped: bigint;
}

export interface InterfaceUse {
  readonly name: string;
  readonly received: Traffic;
  readonly sent: Traffic;
}

/** The interface that CNI's plugins are told to make. */
export const defaultInterface = "eth0";

// The thread's own directory: the process's main thread may be in another network.
const directory = directoryName("/proc/thread-self/net");
const file = fileName("dev");

/** The interfaces of a network namespace but the loopback one, in the kernel's order. Undefined if the namespace is gone. */
export function interfacesOf(files: SmallFiles, namespace: string): InterfaceUse[] | undefined {
  try {
    return parseInterfaces(inNetworkNamespace(namespace, () => files.text(directory, file)) ?? "");
  } catch (error) {
    // Its file stays for a moment when it is unpinned: it is no namespace then.
    if (isErrno(error, "ENOENT", "EINVAL")) return undefined;
    throw error;
  }
}

/** Reads the text of /proc/net/dev; lines that aren't of an interface are left out, and so is `lo`. */
export function parseInterfaces(text: string): InterfaceUse[] {
  return text.split("\n").flatMap((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim();
    const counts = line.slice(colon + 1).match(/\d+/g);
    if (name === "" || name === "lo" || counts === null || counts.length < 16) return [];
    return { name, received: trafficAt(counts, 0), sent: trafficAt(counts, 8) };
  });
}

function trafficAt(counts: readonly string[], from: number): Traffic {
  const [bytes = 0n, packets = 0n, errors = 0n, dropped = 0n] = counts.slice(from, from + 4).map(BigInt);
  return { bytes, packets, errors, dropped };
}

/** The pod's own interface: `eth0`, or else the first. */
export const mainOf = (interfaces: readonly InterfaceUse[]): InterfaceUse | undefined =>
  interfaces.find(({ name }) => name === defaultInterface) ?? interfaces[0];
