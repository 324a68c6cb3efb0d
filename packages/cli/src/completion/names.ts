import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { SnapshotsDefinition } from "@hull/api/gen/containerd/services/snapshots/v1/snapshots";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { Status } from "@hull/api/gen/containerd/types/task/task";
import { type Client, connect } from "@hull/client/client";
import type { NameKind, NameSource } from "./complete.ts";

/** Longer than anybody waits after a TAB. */
const patience = 2000;
/** More helps nobody. */
const most = 1000;

interface Wanted {
  readonly kind: Exclude<NameKind, "file" | "directory">;
  readonly snapshotter: string;
  /** What a container is called where it is asked for. */
  readonly nameOf: (container: { id: string; labels: Record<string, string> }) => string;
  readonly imageName: (name: string) => string;
}

/** Names that a daemon knows; none where no daemon answers. */
export function daemonNames(options: {
  address: (globals: Readonly<Record<string, string>>) => string;
  namespace: (globals: Readonly<Record<string, string>>) => string;
  nameOf: Wanted["nameOf"];
  imageName?: Wanted["imageName"];
}): NameSource {
  return async (kind, globals) => {
    try {
      const address = options.address(globals);
      await using client = await connect({ address, namespace: options.namespace(globals), timeoutMs: patience });
      const snapshotter = globals.snapshotter ?? "overlayfs";
      const names = await listNames(client, {
        kind,
        snapshotter,
        nameOf: options.nameOf,
        imageName: options.imageName ?? ((name) => name),
      });
      return names.slice(0, most);
    } catch {
      // Whoever presses TAB has asked for no message.
      return [];
    }
  };
}

async function listNames(client: Client, { kind, snapshotter, nameOf, imageName }: Wanted): Promise<string[]> {
  switch (kind) {
    case "container":
      return (await client.service(ContainersDefinition).list({})).containers.map(nameOf);
    case "running":
    case "stopped": {
      const [{ containers }, { tasks }] = await Promise.all([
        client.service(ContainersDefinition).list({}),
        client.service(TasksDefinition).list({}),
      ]);
      const going = (status: Status): boolean => status === Status.RUNNING || status === Status.PAUSED;
      const running = new Set(tasks.flatMap(({ id, status }) => (going(status) ? [id] : [])));
      return containers.filter(({ id }) => running.has(id) === (kind === "running")).map(nameOf);
    }
    case "image":
      return (await client.service(ImagesDefinition).list({})).images.map(({ name }) => imageName(name));
    case "namespace":
      return (await client.service(NamespacesDefinition).list({})).namespaces.map(({ name }) => name);
    case "lease":
      return (await client.service(LeasesDefinition).list({})).leases.map(({ id }) => id);
    case "snapshotter": {
      const filters = ["type==io.containerd.snapshotter.v1"];
      const { plugins } = await client.service(IntrospectionDefinition).plugins({ filters });
      return plugins.filter(({ initErr }) => initErr === undefined).map(({ id }) => id);
    }
    case "snapshot": {
      const found: string[] = [];
      for await (const { info } of client.service(SnapshotsDefinition).list({ snapshotter }))
        found.push(...info.map(({ name }) => name));
      return found;
    }
    case "content": {
      const found: string[] = [];
      for await (const { info } of client.service(ContentDefinition).list({}))
        found.push(...info.map(({ digest }) => digest));
      return found;
    }
    case "network":
      return [];
  }
}
