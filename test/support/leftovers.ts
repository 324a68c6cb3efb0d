import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Removes what containers of a namespace leave on the machine outside of a daemon's folders, once all are gone: the namespace's control
 * groups, of every hierarchy, and runc's folder of containerd's.
 */
export function removeLeftovers(namespace: string): void {
  const hierarchies = readdirSync("/sys/fs/cgroup", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const path of [namespace, ...hierarchies.map(({ name }) => join(name, namespace))]) {
    try {
      rmdirSync(join("/sys/fs/cgroup", path));
    } catch {
      // Not there, or a failed test left a container in it, which is better seen than hidden.
    }
  }
  rmSync(join("/run/containerd/runc", namespace), { recursive: true, force: true });
}
