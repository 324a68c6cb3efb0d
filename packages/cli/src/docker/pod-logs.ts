import type { Client } from "@hull/client/client";
import { endOf } from "@hull/client/tasks";
import { failedPrecondition, notFound } from "@hull/errors";
import type { LogSource } from "./commands/logs.ts";
import { findPod, ifThere, type PodView, podName, statusOfContainer } from "./pods.ts";

/**
 * The log of a container of a pod, by `<pod>/<container>` or `<namespace>/<pod>/<container>`; without the container that of a pod's only one.
 * @throws NotFound; FailedPrecondition if it is not clear which is meant
 */
export async function podLog(client: Client, key: string): Promise<LogSource> {
  const { pod, container } = await find(client, key);
  const { logPath } = await statusOfContainer(client, container.id);
  return {
    name: `${podName(pod)}/${container.metadata?.name}`,
    // The kubelet renames it; those from before are its own affair.
    place: logPath === "" ? undefined : { file: logPath, rotates: true, times: true },
    ended: () => endOf(client, container.id),
  };
}

async function find(
  client: Client,
  key: string,
): Promise<{ pod: PodView["pod"]; container: PodView["containers"][number] }> {
  const slash = key.lastIndexOf("/");
  const name = key.slice(slash + 1);
  // "a/b" is a namespace and a pod, or a pod and its container.
  const view = await ifThere(findPod(client, key));
  const { pod, containers } = view ?? (await findPod(client, key.slice(0, slash)));
  const named = view === undefined ? containers.filter(({ metadata }) => metadata?.name === name) : containers;
  const [newest] = named.toSorted((a, b) => Number(b.createdAt - a.createdAt));
  const names = [...new Set(containers.map(({ metadata }) => metadata?.name ?? ""))];
  if (newest === undefined)
    throw notFound(`pod "${podName(pod)}" has no container "${name}": it has ${names.join(", ") || "none"}`);
  if (view !== undefined && names.length > 1)
    throw failedPrecondition(
      `pod "${podName(pod)}" has several containers: say one of ${names.map((each) => `${podName(pod)}/${each}`).join(", ")}`,
    );
  return { pod, container: newest };
}
