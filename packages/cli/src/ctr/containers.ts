import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { nanosOfTimestamp, rfc3339OfNanos } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { type Container, getContainer, removeContainer, specOf } from "@hull/client/containers";
import { HullError, isCode } from "@hull/errors";
import { formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import type { containerFlags } from "./container-flags.ts";
import { createFrom } from "./create.ts";
import { CtrError, withClass } from "./errors.ts";
import type { containersInfo, containersList, containersRemove } from "./flags.ts";
import { goJson, sorted } from "./go-json.ts";
import { formatLabels, parseLabels } from "./labels.ts";
import { logLine } from "./log.ts";

export const create: CtrAction<typeof containerFlags> = async (call) => {
  const { flags, given, args, globals } = call;
  if (flags.config !== undefined) {
    if (args.length === 0)
      throw new CtrError("with spec config file, only container id should be provided: invalid argument");
  } else if (args.length === 0) throw new CtrError("image ref must be provided: invalid argument");
  else if (args.length === 1) throw new CtrError("container id must be provided: invalid argument");
  return await withClient(globals, async (client) => {
    await createFrom(client, { flags, given, args });
    return 0;
  });
};

export const list: CtrAction<typeof containersList> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    const { containers } = await client.service(ContainersDefinition).list({ filters: [...args] });
    if (flags.quiet) await host.out(containers.map(({ id }) => `${id}\n`).join(""));
    else {
      const rows = containers.map(({ id, image, runtime }) => [id, image === "" ? "-" : image, runtime?.name ?? ""]);
      await host.out(formatTable([["CONTAINER", "IMAGE", "RUNTIME"], ...rows], { minWidth: 4, padding: 4 }));
    }
    return 0;
  });

export const info: CtrAction<typeof containersInfo> = async ({ flags, args: [id = ""], globals, host }) => {
  if (id === "") throw new CtrError("container id must be provided: invalid argument");
  return await withClient(globals, async (client) => {
    const container = await getContainer(client, id);
    await host.out(`${goJson(flags.spec ? specOf(container) : described(container), "    ")}\n`);
    return 0;
  });
};

function described(container: Container): unknown {
  const { id, labels, image, runtime, snapshotKey, snapshotter, createdAt, updatedAt, extensions, sandbox } = container;
  const any = (value: { typeUrl: string; value: Uint8Array }) => ({
    type_url: value.typeUrl,
    value: value.value.length === 0 ? undefined : value.value,
  });
  return {
    ID: id,
    Labels: sorted(labels),
    Image: image,
    Runtime: {
      Name: runtime?.name ?? "",
      Options: runtime?.options === undefined ? null : any(runtime.options),
    },
    SnapshotKey: snapshotKey,
    Snapshotter: snapshotter,
    CreatedAt: rfc3339OfNanos(nanosOfTimestamp(createdAt) ?? 0n),
    UpdatedAt: rfc3339OfNanos(nanosOfTimestamp(updatedAt) ?? 0n),
    Extensions:
      Object.keys(extensions).length === 0
        ? null
        : sorted(Object.fromEntries(Object.entries(extensions).map(([key, value]) => [key, any(value)]))),
    SandboxID: sandbox === "" ? undefined : sandbox,
    Spec: specOf(container) ?? null,
  };
}

export const label: CtrAction = async ({ args: [id = "", ...texts], globals, host }) => {
  if (id === "") throw new CtrError("container id must be provided: invalid argument");
  return await withClient(globals, async (client) => {
    const labels = parseLabels(texts);
    const before = await getContainer(client, id);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    const { container } = await client
      .service(ContainersDefinition)
      .update({ container: { ...before, labels }, updateMask: paths });
    await host.out(`${formatLabels(container?.labels ?? {})}\n`);
    return 0;
  });
};

export const remove: CtrAction<typeof containersRemove> = async ({ flags, args, globals, host }) => {
  if (args.length === 0) throw new CtrError("must specify at least one container to delete: invalid argument");
  return await withClient(globals, async (client) => {
    let failed: unknown;
    for (const id of args) {
      try {
        await removeOne(client, id, flags["keep-snapshot"]);
      } catch (error) {
        failed ??= error;
        const text = error instanceof CtrError ? error.message : withClass(HullError.from(error));
        logLine(host, "error", `failed to delete container ${JSON.stringify(id)}`, { error: text });
      }
    }
    if (failed !== undefined) throw failed;
    return 0;
  });
};

async function removeOne(client: Client, id: string, keepSnapshot: boolean): Promise<void> {
  const container = await getContainer(client, id);
  try {
    const { process } = await client.service(TasksDefinition).get({ containerId: id });
    if (process !== undefined) await removeStopped(client, id, process.status);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
  await removeContainer(client, container, { keepSnapshot });
}

const created = 1;
const stopped = 3;

/** A task that has ended or never began goes with its container. @throws CtrError for one that runs */
async function removeStopped(client: Client, id: string, status: number): Promise<void> {
  if (status !== created && status !== stopped)
    throw new CtrError(
      `cannot delete a non stopped container: {${runningName[status] ?? "unknown"} 0 0001-01-01 00:00:00 +0000 UTC}`,
    );
  await client.service(TasksDefinition).delete({ containerId: id });
}

const runningName: Readonly<Record<number, string>> = { 2: "running", 4: "paused", 5: "pausing" };
