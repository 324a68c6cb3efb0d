import { readFile } from "node:fs/promises";

/** State "listen" in proc_net_tcp (Linux, Documentation/networking/proc_net_tcp.rst). */
const listening = "0A";
/** Loopback addresses as the kernel prints them: words of 32 bits as a little-endian machine has them; IPv6's own, and IPv4's in it. */
const loopbacks = /^(?:.{6}7F|0{24}01000000|0{16}F{4}0{4}.{6}7F)$/;

/**
 * Whether a table of sockets (`/proc/PID/net/tcp`, `…/tcp6`) has one that listens on a port.
 * @param loopbackCounts whether that may be at an address that only its own host reaches
 */
export function hasListener(table: string, port: number, loopbackCounts: boolean): boolean {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return table.split("\n").some((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", number] = local.split(":");
    return state === listening && number === wanted && (loopbackCounts || !loopbacks.test(address));
  });
}

/** Whether a socket in the network namespace of a process listens on a TCP port. */
export async function listens(pid: number, port: number, loopbackCounts: boolean): Promise<boolean> {
  for (const table of ["tcp", "tcp6"]) {
    // Without IPv6 there is one of them; without the process, none.
    const text = await readFile(`/proc/${pid}/net/${table}`, "utf8").catch(() => "");
    if (hasListener(text, port, loopbackCounts)) return true;
  }
  return false;
}
