import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { restartLabels } from "@hull/engine/restart/policy";
import { invalidArgument } from "@hull/errors";
import { buildSpec, type Resources, withResources } from "@hull/oci/spec";
import type { FlagValues } from "../../command/index.ts";
import { findContainer, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { labelNames } from "../labels.ts";
import { limitsOf } from "../limit-flags.ts";
import { expectToRun, policyText, restartPolicyOf, setLabels } from "../restart.ts";
import { explain, openSession } from "../session.ts";
import { parseSize } from "../size.ts";
import { stateOf } from "../state.ts";
import type { updateFlags } from "../update-flags.ts";

type UpdateFlags = FlagValues<typeof updateFlags>;

/** µs over which the limit of processor time is counted. */
const cpuPeriod = 100_000;

/** `hull update`: limits and restart policy of containers, running or not. */
export async function update(call: Call<UpdateFlags>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a container is");
  const resources = resourcesOf(flags);
  const policy = flags.restart === undefined ? undefined : restartPolicyOf(flags.restart);
  if (Object.keys(resources).length === 0 && policy === undefined)
    throw invalidArgument("you must provide one or more flags when using this command; see hull update --help");
  await using client = await openSession(call);
  let status = 0;
  for (const key of args) {
    try {
      const container = await findContainer(client, key);
      if (Object.keys(resources).length > 0) await changeResources(client, container, resources);
      if (policy !== undefined) await changePolicy(client, container, policyText(policy));
      await host.out(`${key}\n`);
    } catch (error) {
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  return status;
}

function resourcesOf(flags: UpdateFlags): Resources {
  const { cpus, memory, "pids-limit": pids } = flags;
  if (cpus !== undefined && (flags["cpu-period"] !== undefined || flags["cpu-quota"] !== undefined))
    throw invalidArgument("conflicting options: --cpus goes without --cpu-period and --cpu-quota");
  const cpu = cpus === undefined ? {} : { quota: Math.round(cpus * cpuPeriod), period: cpuPeriod };
  const limit = memory === undefined ? undefined : parseSize(memory, "memory limit");
  return {
    ...limitsOf(flags, { cpu, memory: { limit } }),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  };
}

/** The task first, since the kernel may refuse; then the record, for the next task. */
async function changeResources(client: Client, container: Container, resources: Resources): Promise<void> {
  const { id } = container;
  const { status } = await stateOf(client, id);
  if (status === "running" || status === "paused") {
    const any = encodeJsonAny(jsonTypes.linuxResources, resources);
    await client.service(TasksDefinition).update({ containerId: id, resources: any, annotations: {} });
  }
  const spec = specOf(container);
  if (spec === undefined) throw invalidArgument(`container "${id}" has no spec`);
  const changed = encodeJsonAny(jsonTypes.spec, buildSpec(spec, withResources(resources)));
  await client.service(ContainersDefinition).update({ container: { id, spec: changed }, updateMask: ["spec"] });
}

async function changePolicy(client: Client, container: Container, policy: string): Promise<void> {
  const log = container.labels[labelNames.log];
  if (policy === "no") {
    await setLabels(client, container, {
      [restartLabels.status]: "",
      [restartLabels.policy]: "",
      [restartLabels.explicitlyStopped]: "",
      [restartLabels.count]: "",
    });
    return;
  }
  if (container.labels[labelNames.autoRemove] === "true")
    throw invalidArgument("restart policy cannot be updated: the container is removed when it ends (--rm)");
  const labels = { [restartLabels.policy]: policy, ...(log === undefined ? {} : { [restartLabels.logUri]: log }) };
  await setLabels(client, container, labels);
  const { status } = await stateOf(client, container.id);
  if (status === "running" || status === "paused") await expectToRun(client, { ...container, labels });
}
