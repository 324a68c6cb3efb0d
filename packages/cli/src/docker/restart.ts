import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { parseRestartPolicy, type RestartPolicy, restartLabels } from "@hull/engine/restart/policy";
import { HullError, invalidArgument } from "@hull/errors";

/** Reads `--restart`. @throws InvalidArgument */
export function restartPolicyOf(text: string): RestartPolicy {
  try {
    const policy = parseRestartPolicy(text === "" ? "no" : text);
    if (policy.maximumRetries < 0) throw invalidArgument("the number of retries is below zero");
    return policy;
  } catch (error) {
    const why = HullError.from(error).message;
    throw invalidArgument(
      `invalid restart policy "${text}": ${why}; use one of no, always, unless-stopped, on-failure[:RETRIES]`,
    );
  }
}

/**
 * Labels of a new container with a restart policy. That it is to run is noted only when it was started: until then the daemon leaves it alone.
 * @throws InvalidArgument if it can't be restarted with its other flags
 */
export function labelsForRestart(
  text: string,
  { rm, background, log }: { rm: boolean; background: boolean; log: string | undefined },
): Record<string, string> {
  const policy = restartPolicyOf(text);
  if (policy.name === "no") return {};
  if (rm) throw invalidArgument("conflicting options: cannot specify both --restart and --rm");
  if (!background)
    throw invalidArgument(`a container with --restart ${text} runs in the background: add -d (its output: hull logs)`);
  return {
    [restartLabels.policy]: policyText(policy),
    ...(log === undefined ? {} : { [restartLabels.logUri]: log }),
  };
}

export const policyText = ({ name, maximumRetries }: RestartPolicy): string =>
  maximumRetries > 0 ? `${name}:${maximumRetries}` : name;

/** Has the daemon restart a container that was just started, if it has a policy for that. */
export async function expectToRun(client: Client, container: Container): Promise<void> {
  const policy = container.labels[restartLabels.policy];
  if (policy === undefined || policy === "no") return;
  await setLabels(client, container, {
    [restartLabels.status]: "running",
    [restartLabels.explicitlyStopped]: "false",
    [restartLabels.count]: "",
  });
}

/** Before somebody ends a container on purpose: the daemon is not to start it again. */
export async function expectToStop(client: Client, container: Container): Promise<void> {
  if (container.labels[restartLabels.status] === undefined) return;
  await setLabels(client, container, { [restartLabels.status]: "", [restartLabels.explicitlyStopped]: "true" });
}

/** Sets labels of a container's record; an empty value takes one away. */
export async function setLabels(
  client: Client,
  { id }: Container,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  await client.service(ContainersDefinition).update({
    container: { id, labels: { ...labels } },
    updateMask: Object.keys(labels).map((key) => `labels.${key}`),
  });
}
