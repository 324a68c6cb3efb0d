import type { LinuxContainerResources } from "@hull/api/gen/cri/v1/cri";
import { unlessGone } from "@hull/engine/unless-gone";
import { unknown } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import type { PodContainer } from "../model.ts";
import { resourcesOfSpec, withUpdatedResources } from "../spec/index.ts";
import { withinLater } from "../wrap.ts";
import type { ContainersContext } from "./context.ts";

/** Of the message that a task's update takes. */
const resourcesType = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/**
 * Changes a container's limits: in its spec, so that it starts with them, and if it runs, in its control group. If that fails the spec is as it was.
 * @throws in containerd's words
 */
export async function updateResources(
  of: ContainersContext,
  container: PodContainer,
  resources: LinuxContainerResources | undefined,
): Promise<void> {
  const { containers } = of.options;
  await withinLater(
    "failed to update resources",
    containers.locked(container.id, () => update(of, container, resources)),
  );
}

async function update(
  of: ContainersContext,
  container: PodContainer,
  resources: LinuxContainerResources | undefined,
): Promise<void> {
  const { records, tasks, config, facts } = of.options;
  const { id } = container;
  if (container.status.removing) throw unknown(`container ${JSON.stringify(id)} is in removing state`);
  const record = await withinLater("failed to get container spec", records.get(of.engine, id));
  const old = JSON.parse(new TextDecoder().decode(record.spec.value)) as Spec;
  const spec = withUpdatedResources(old, resources, config.runtime, facts);
  const write = (to: Spec) => {
    const value = new TextEncoder().encode(JSON.stringify(to));
    const changed = { ...record, spec: { ...record.spec, value } };
    return withinLater("failed to update container spec", records.update(of.engine, changed, ["spec"]));
  };
  await write(spec);
  if (container.status.state === "running") {
    const value = new TextEncoder().encode(JSON.stringify(spec.linux.resources ?? {}));
    try {
      // One that has ended meanwhile needs nothing.
      await unlessGone(() => tasks.update(of.engine, id, { typeUrl: resourcesType, value }, {}));
    } catch (error) {
      await write(old);
      throw error;
    }
  }
  of.save(container, { resources: resourcesOfSpec(spec) });
}
