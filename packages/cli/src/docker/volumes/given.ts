import { type Container, specOf } from "@hull/client/containers";
import type { Spec } from "@hull/oci/spec";
import { isInitMount } from "../init.ts";

type Mounts = Spec["mounts"];

/** Files that hull itself mounts, and where they come from: the container's own directory, or the host. */
const nameFiles: readonly string[] = ["/etc/hosts", "/etc/resolv.conf"];
const resolvers: readonly (string | undefined)[] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/** What --ipc host shares. */
const shared: readonly string[] = ["/dev/shm", "/dev/mqueue"];

/** The volumes and binds that a container was given, without what hull mounts for its own ends. */
export function mountsGiven(container: Container): Mounts {
  return (specOf(container)?.mounts ?? []).filter((mount) => mount.type === "bind" && !isOwn(mount, container.id));
}

function isOwn(mount: Mounts[number], id: string): boolean {
  const { source = "", destination } = mount;
  if (nameFiles.includes(destination))
    return resolvers.includes(source) || source.endsWith(`/${id}/${destination.slice("/etc/".length)}`);
  return isInitMount(mount) || (shared.includes(destination) && source === destination);
}
