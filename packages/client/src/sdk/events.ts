import type { ContainerCreate, ContainerDelete, ContainerUpdate } from "@hull/api/gen/containerd/events/container";
import type { ContentCreate, ContentDelete } from "@hull/api/gen/containerd/events/content";
import type { ImageCreate, ImageDelete, ImageUpdate } from "@hull/api/gen/containerd/events/image";
import type { NamespaceCreate, NamespaceDelete, NamespaceUpdate } from "@hull/api/gen/containerd/events/namespace";
import type { SnapshotCommit, SnapshotPrepare, SnapshotRemove } from "@hull/api/gen/containerd/events/snapshot";
import type {
  TaskCheckpointed,
  TaskCreate,
  TaskDelete,
  TaskExecAdded,
  TaskExecStarted,
  TaskExit,
  TaskOOM,
  TaskPaused,
  TaskResumed,
  TaskStart,
} from "@hull/api/gen/containerd/events/task";
import type { TypeName } from "@hull/api/typeurl";
import { isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import type { Client } from "../client.ts";
import { events } from "../events.ts";

/** What the events of each topic are. */
export interface TopicEvents {
  readonly "/containers/create": ContainerCreate;
  readonly "/containers/update": ContainerUpdate;
  readonly "/containers/delete": ContainerDelete;
  readonly "/content/create": ContentCreate;
  readonly "/content/delete": ContentDelete;
  readonly "/images/create": ImageCreate;
  readonly "/images/update": ImageUpdate;
  readonly "/images/delete": ImageDelete;
  readonly "/namespaces/create": NamespaceCreate;
  readonly "/namespaces/update": NamespaceUpdate;
  readonly "/namespaces/delete": NamespaceDelete;
  readonly "/snapshot/prepare": SnapshotPrepare;
  readonly "/snapshot/commit": SnapshotCommit;
  readonly "/snapshot/remove": SnapshotRemove;
  readonly "/tasks/create": TaskCreate;
  readonly "/tasks/start": TaskStart;
  readonly "/tasks/oom": TaskOOM;
  readonly "/tasks/exit": TaskExit;
  readonly "/tasks/delete": TaskDelete;
  readonly "/tasks/exec-added": TaskExecAdded;
  readonly "/tasks/exec-started": TaskExecStarted;
  readonly "/tasks/paused": TaskPaused;
  readonly "/tasks/resumed": TaskResumed;
  readonly "/tasks/checkpointed": TaskCheckpointed;
}

/** Full names of those types. */
const topics = {
  "/containers/create": "containerd.events.ContainerCreate",
  "/containers/update": "containerd.events.ContainerUpdate",
  "/containers/delete": "containerd.events.ContainerDelete",
  "/content/create": "containerd.events.ContentCreate",
  "/content/delete": "containerd.events.ContentDelete",
  "/images/create": "containerd.services.images.v1.ImageCreate",
  "/images/update": "containerd.services.images.v1.ImageUpdate",
  "/images/delete": "containerd.services.images.v1.ImageDelete",
  "/namespaces/create": "containerd.events.NamespaceCreate",
  "/namespaces/update": "containerd.events.NamespaceUpdate",
  "/namespaces/delete": "containerd.events.NamespaceDelete",
  "/snapshot/prepare": "containerd.events.SnapshotPrepare",
  "/snapshot/commit": "containerd.events.SnapshotCommit",
  "/snapshot/remove": "containerd.events.SnapshotRemove",
  "/tasks/create": "containerd.events.TaskCreate",
  "/tasks/start": "containerd.events.TaskStart",
  "/tasks/oom": "containerd.events.TaskOOM",
  "/tasks/exit": "containerd.events.TaskExit",
  "/tasks/delete": "containerd.events.TaskDelete",
  "/tasks/exec-added": "containerd.events.TaskExecAdded",
  "/tasks/exec-started": "containerd.events.TaskExecStarted",
  "/tasks/paused": "containerd.events.TaskPaused",
  "/tasks/resumed": "containerd.events.TaskResumed",
  "/tasks/checkpointed": "containerd.events.TaskCheckpointed",
} as const satisfies { readonly [T in Topic]: TypeName };

/** Topics whose events have types. */
export type Topic = keyof TopicEvents;

/** Something that happened. `event` is of the topic's type. */
export type HullEvent<T extends Topic = Topic> = {
  [One in T]: {
    readonly topic: One;
    readonly namespace: string;
    readonly at: Date;
    /** Its number in hull's log, if `since` was asked for. */
    readonly sequence: number | undefined;
    readonly event: TopicEvents[One];
  };
}[T];

export interface EventsOptions<T extends Topic = Topic> {
  /** All that have types unless told. */
  readonly topics?: readonly T[];
  /** This namespace alone; the daemon's all unless told. */
  readonly namespace?: string;
  /** In containerd's language, each of them enough: `event.container_id==web`. Topics and namespace hold beside them. */
  readonly filters?: readonly string[];
  /** Begin behind this event's number, or at a time (RFC 3339): hull keeps the last ones. */
  readonly since?: number | string;
  readonly signal?: AbortSignal;
}

/** See `Hull.events`. Events of topics without a type are left out. */
export async function* typedEvents<T extends Topic>(
  client: Client,
  { topics: wanted, namespace, filters = [], since, signal }: EventsOptions<T>,
): AsyncGenerator<HullEvent<T>, void, undefined> {
  const common = namespace === undefined ? [] : [`namespace==${namespace}`];
  const topicFilters = wanted?.map((topic) => [`topic==${JSON.stringify(topic)}`, ...common]) ?? [common];
  const own = filters.length === 0 ? [""] : filters;
  const all = topicFilters.flatMap((parts) =>
    own.map((filter) => [...parts, filter].filter((one) => one !== "").join(",")),
  );
  const options = {
    filters: all.filter((filter) => filter !== ""),
    ...(since === undefined ? {} : { since }),
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const { topic, timestamp, sequence, event, ...rest } of events(client, options)) {
    if (!(topic in topics) || !isKnownType(typeNameOf(event.typeUrl))) continue;
    const { message } = await unpackAny(event);
    const at = new Date(Number(timestamp / 1_000_000n));
    yield { topic, at, sequence, event: message, namespace: rest.namespace } as unknown as HullEvent<T>;
  }
}
