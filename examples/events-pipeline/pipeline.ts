/**
 * A pipeline over events: each stage is a function from a stream to a stream.
 *
 *   events of the daemon ──► those of our services ──► restarts, alerts ──► summary
 */
import type { Hull, HullEvent } from "@hull/client";
import type { Supervisor } from "./supervisor.ts";

type Watched = "/tasks/start" | "/tasks/exit" | "/tasks/oom";

/** What has happened to a service. */
export type Happening =
  | { readonly kind: "started"; readonly service: string; readonly at: Date }
  | {
      readonly kind: "ended";
      readonly service: string;
      readonly at: Date;
      readonly code: number;
      readonly restartMs: number;
    }
  | { readonly kind: "out of memory"; readonly service: string; readonly at: Date };

/** Events of tasks, from now on: when this resolves the daemon has the subscription. */
export async function watch(hull: Hull, signal: AbortSignal): Promise<AsyncIterable<HullEvent<Watched>>> {
  const topics = ["/tasks/start", "/tasks/exit", "/tasks/oom"] as const;
  const events = hull.events({ topics, namespace: hull.namespace, signal })[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<HullEvent<Watched>>> | undefined = events.next();
  first.catch(() => {});
  // Answered behind the subscription, which went the same way.
  await hull.namespaces.list();
  return {
    [Symbol.asyncIterator]: () => ({
      next() {
        const next = first ?? events.next();
        first = undefined;
        return next;
      },
      return: async () => (await events.return?.()) ?? { done: true, value: undefined },
    }),
  };
}

/** What concerns services, as it concerns them; what has ended is started again. */
export async function* supervised(
  events: AsyncIterable<HullEvent<Watched>>,
  supervisor: Supervisor,
): AsyncGenerator<Happening, void> {
  for await (const one of events) {
    // Of the first process alone: others have an id of their own.
    if (one.topic === "/tasks/exit" && one.event.id !== one.event.containerId) continue;
    // A container may tell of itself before whoever started it knows that it runs.
    await supervisor.settled();
    const { containerId } = one.event;
    const service = supervisor.serviceOf(containerId);
    if (service === undefined) continue;
    const { at } = one;
    if (one.topic === "/tasks/start") yield { kind: "started", service, at };
    else if (one.topic === "/tasks/oom") yield { kind: "out of memory", service, at };
    else {
      const restartMs = await supervisor.ended(containerId);
      yield { kind: "ended", service, at, code: one.event.exitStatus, restartMs };
    }
  }
}

/** Passes all on, and has somebody told of what they have to know: each service at most once a minute. */
export async function* alerting(
  happenings: AsyncIterable<Happening>,
  alert: (text: string) => void,
): AsyncGenerator<Happening, void> {
  const told = new Map<string, number>();
  for await (const one of happenings) {
    const { service, kind, at } = one;
    if (kind === "out of memory" && at.getTime() - (told.get(service) ?? Number.NEGATIVE_INFINITY) >= 60_000) {
      told.set(service, at.getTime());
      alert(`service "${service}" is out of memory`);
    }
    yield one;
  }
}

/** How it stands with a service. */
export interface Standing {
  readonly starts: number;
  readonly outOfMemory: number;
  readonly lastCode?: number;
  readonly lastEnd?: Date;
}

/** The standing of all services, after each happening. */
export async function* summarizing(
  happenings: AsyncIterable<Happening>,
): AsyncGenerator<Readonly<Record<string, Standing>>, void> {
  const standings: Record<string, Standing> = {};
  for await (const one of happenings) {
    const { starts, outOfMemory, ...last } = standings[one.service] ?? { starts: 0, outOfMemory: 0 };
    standings[one.service] = {
      ...last,
      ...(one.kind === "ended" ? { lastCode: one.code, lastEnd: one.at } : {}),
      starts: starts + (one.kind === "started" ? 1 : 0),
      outOfMemory: outOfMemory + (one.kind === "out of memory" ? 1 : 0),
    };
    yield { ...standings };
  }
}
