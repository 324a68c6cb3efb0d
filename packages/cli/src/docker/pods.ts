/** Pods and their containers, as the daemon's CRI tells of them: by Kubernetes' names, whatever the namespace of the other commands. */

import {
  type Container,
  type ContainerStatus,
  type ContainerState as CriState,
  ContainerState as criStates,
  type PodSandbox,
  PodSandboxState,
  type PodSandboxStatus,
  RuntimeServiceDefinition,
} from "@hull/api/gen/cri/v1/cri";
import type { Client } from "@hull/client/client";
import { nearest } from "@hull/engine/plugin/nearest";
import { failedPrecondition, HullError, isCode, notFound } from "@hull/errors";
import type { Call } from "./globals.ts";
import { openSession } from "./session.ts";
import type { ContainerState } from "./state.ts";

/** A pod with its containers. */
export interface PodView {
  readonly pod: PodSandbox;
  readonly containers: readonly Container[];
}

/** Whole seconds of the CRI's nanoseconds are enough for people; 0 is no time. */
const dateOf = (nanoseconds: bigint): Date | undefined =>
  nanoseconds === 0n ? undefined : new Date(Number(nanoseconds / 1_000_000n));

/** `<namespace>/<name>` */
export const podName = ({ metadata }: Pick<PodSandbox, "metadata">): string =>
  `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`;

export const podStatus = ({ state }: Pick<PodSandbox, "state">): "ready" | "notready" =>
  state === PodSandboxState.SANDBOX_READY ? "ready" : "notready";

/** A session in the namespace that the containers of pods are in. */
export const openPods = ({ globals, host }: Pick<Call, "globals" | "host">): Promise<Client> =>
  openSession({ globals: { ...globals, namespace: "k8s.io" }, host });

/** All pods, the newest first. @throws FailedPrecondition if the daemon has no CRI */
export async function listPods(client: Client): Promise<PodView[]> {
  return withCri(async () => {
    const runtime = client.service(RuntimeServiceDefinition);
    const [{ items }, { containers }] = await Promise.all([runtime.listPodSandbox({}), runtime.listContainers({})]);
    return items
      .sort((a, b) => Number(b.createdAt - a.createdAt))
      .map((pod) => ({ pod, containers: containers.filter(({ podSandboxId }) => podSandboxId === pod.id) }));
  });
}

/** @throws NotFound for one that has gone meanwhile */
export async function statusOfPod(client: Client, id: string): Promise<PodSandboxStatus> {
  const { status } = await client.service(RuntimeServiceDefinition).podSandboxStatus({ podSandboxId: id });
  if (status === undefined) throw notFound(`no such pod: "${id}"`);
  return status;
}

/** @throws NotFound for one that has gone meanwhile */
export async function statusOfContainer(client: Client, id: string): Promise<ContainerStatus> {
  const { status } = await client.service(RuntimeServiceDefinition).containerStatus({ containerId: id });
  if (status === undefined) throw notFound(`no such container: "${id}"`);
  return status;
}

/** What a call gives, or nothing for what has gone since it was listed. */
export async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}

/**
 * The pod of this id, beginning of an id, `<namespace>/<name>` or name.
 * @throws NotFound; FailedPrecondition if it means several, or if the daemon has no CRI
 */
export async function findPod(client: Client, key: string): Promise<PodView> {
  const all = await listPods(client);
  const named = all.filter(({ pod }) => podName(pod) === key || pod.metadata?.name === key);
  const byId = all.filter(({ pod: { id } }) => id.startsWith(key) && key !== "");
  const found = byId.filter(({ pod: { id } }) => id === key).concat(named.length > 0 ? named : byId);
  const [first, second] = new Set(found);
  if (first === undefined) {
    const near = nearest(
      key,
      all.map(({ pod }) => podName(pod)),
    );
    throw notFound(`no such pod: "${key}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
  }
  if (second !== undefined && first.pod.id !== key) {
    const which = found.map(({ pod }) => `${pod.id.slice(0, 13)} (${podName(pod)})`).join(", ");
    throw failedPrecondition(`"${key}" means several pods: ${which}`);
  }
  return first;
}

const words: Readonly<Record<CriState, ContainerState["status"]>> = {
  [criStates.CONTAINER_CREATED]: "created",
  [criStates.CONTAINER_RUNNING]: "running",
  [criStates.CONTAINER_EXITED]: "exited",
  // What became of it was lost with its shim.
  [criStates.CONTAINER_UNKNOWN]: "exited",
};

/** A container's state as that of those without a pod is told. */
export function stateOfStatus({ state, exitCode, startedAt, finishedAt }: ContainerStatus): ContainerState {
  return { status: words[state], pid: 0, exitCode, startedAt: dateOf(startedAt), finishedAt: dateOf(finishedAt) };
}

/** All about a pod, for `hull inspect`. */
export async function describePod(client: Client, { pod, containers }: PodView): Promise<unknown> {
  const answer = await client
    .service(RuntimeServiceDefinition)
    .podSandboxStatus({ podSandboxId: pod.id, verbose: true });
  const { status, info } = answer;
  const statuses = await Promise.all(containers.map(({ id }) => ifThere(statusOfContainer(client, id))));
  return {
    Id: pod.id,
    Name: pod.metadata?.name ?? "",
    Namespace: pod.metadata?.namespace ?? "",
    Uid: pod.metadata?.uid ?? "",
    Attempt: pod.metadata?.attempt ?? 0,
    State: podStatus(status ?? pod),
    Created: dateOf(pod.createdAt)?.toISOString() ?? "",
    RuntimeHandler: pod.runtimeHandler,
    Labels: pod.labels,
    Annotations: pod.annotations,
    Network: {
      IP: status?.network?.ip ?? "",
      AdditionalIPs: (status?.network?.additionalIps ?? []).map(({ ip }) => ip),
    },
    Containers: statuses.flatMap((each) => (each === undefined ? [] : [describeContainer(each)])),
    // The runtime's own view: its keys hold JSON as texts.
    Info: Object.fromEntries(Object.entries(info).map(([key, text]) => [key, parsed(text)])),
  };
}

function describeContainer(status: ContainerStatus): unknown {
  const { startedAt, finishedAt } = stateOfStatus(status);
  return {
    Id: status.id,
    Name: status.metadata?.name ?? "",
    Attempt: status.metadata?.attempt ?? 0,
    Image: status.image?.image ?? "",
    ImageId: status.imageId || status.imageRef,
    State: words[status.state],
    Created: dateOf(status.createdAt)?.toISOString() ?? "",
    StartedAt: startedAt?.toISOString() ?? "",
    FinishedAt: finishedAt?.toISOString() ?? "",
    ExitCode: status.exitCode,
    Reason: status.reason,
    Message: status.message,
    LogPath: status.logPath,
    Labels: status.labels,
    Annotations: status.annotations,
    Mounts: status.mounts.map(({ hostPath, containerPath, readonly }) => ({
      Source: hostPath,
      Destination: containerPath,
      RW: !readonly,
    })),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function withCri<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = HullError.from(thrown);
    if (error.code !== "unimplemented") throw error;
    throw failedPrecondition('the daemon has no pods: its plugin "io.containerd.grpc.v1.cri" is disabled', {
      cause: error,
    });
  }
}
