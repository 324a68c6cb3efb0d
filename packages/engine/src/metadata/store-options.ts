import type { EventExchange } from "../events/index.ts";
import type { GarbageCollector } from "../gc/index.ts";
import type { Metadata } from "./index.ts";

/** What every store of records works with. */
export interface StoreOptions {
  metadata: Metadata;
  /** Told of every change after it is committed. */
  events: Pick<EventExchange, "publish">;
  /** Told of deletions and changes; without one, `sync` of a deletion waits for nothing. */
  collector?: Pick<GarbageCollector, "changed" | "collect">;
}
