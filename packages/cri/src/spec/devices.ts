import type { ContainerConfig } from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import { deviceNodesAt } from "@hull/sys/device-nodes";
import type { GivenDevice } from "./input.ts";
import type { HostPaths } from "./mounts.ts";

/**
 * Finds the nodes that a container is to have: links are followed, and of a directory all below it come. With `owned` they belong to the user
 * and group that the request names.
 * @throws Unknown in containerd's words
 */
export async function resolveDevices(
  config: ContainerConfig,
  paths: Pick<HostPaths, "find">,
  owned: boolean,
): Promise<GivenDevice[]> {
  const { runAsUser, runAsGroup } = config.linux?.securityContext ?? {};
  // Root's own is the host's: containerd takes 0 for nobody in particular.
  const uid = owned ? Number(runAsUser?.value ?? 0) || undefined : undefined;
  const gid = owned ? Number(runAsGroup?.value ?? 0) || undefined : undefined;
  const devices: GivenDevice[] = [];
  for (const { hostPath, containerPath, permissions } of config.devices) {
    const path = await paths.find(hostPath);
    if (path === undefined) throw unknown(`lstat ${hostPath}: no such file or directory`);
    const place = containerPath === "" ? path : containerPath;
    for (const node of nodesAt(path, containerPath))
      devices.push({
        node: {
          ...node,
          path: `${place}${node.path.slice(path.length)}`,
          ...(uid === undefined ? {} : { uid }),
          ...(gid === undefined ? {} : { gid }),
        },
        access: permissions,
      });
  }
  return devices;
}

function nodesAt(path: string, containerPath: string) {
  try {
    return deviceNodesAt(path);
  } catch (error) {
    if (HullError.from(error).code !== "invalidArgument") throw error;
    throw unknown(
      `get device path: ${JSON.stringify(path)} containerPath: ${JSON.stringify(containerPath)} error: not a device node`,
    );
  }
}
