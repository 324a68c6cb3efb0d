import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackAny } from "@hull/api/typeurl";
import { LocalEventExchange } from "../events/exchange.ts";
import type { EventEnvelope } from "../events/index.ts";
import { MetadataCollector } from "../gc/collector.ts";
import type { SchedulerOptions } from "../gc/scheduler.ts";
import { Metadata } from "./index.ts";
import { type MetadataStores, openMetadataStores } from "./stores.ts";

/** All stores on a directory of their own, for tests: removed with it. Collects when asked, or by a schedule if given one. */
export class MetadataFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hull-metadata-"));
  readonly metadata = Metadata.open(this.directory);
  readonly events = new LocalEventExchange();
  readonly stores: MetadataStores;
  readonly collector: MetadataCollector;
  cleanUps = 0;
  readonly #published: AsyncIterator<EventEnvelope>;
  readonly #abort = new AbortController();

  constructor(schedule?: Partial<SchedulerOptions>) {
    const { metadata, events } = this;
    const cleanUp = async () => void this.cleanUps++;
    this.collector = new MetadataCollector({ metadata, events, schedule, cleanUps: () => [cleanUp] });
    this.stores = openMetadataStores({ metadata, events, collector: this.collector });
    this.#published = events.subscribe([], this.#abort.signal)[Symbol.asyncIterator]();
  }

  /** The next event: its namespace, topic and message. */
  async event(): Promise<{ namespace: string; topic: string; message: unknown } | undefined> {
    const { value } = await this.#published.next();
    if (value === undefined) return undefined;
    const { namespace, topic, event } = value as EventEnvelope;
    return { namespace, topic, message: (await unpackAny(event)).message };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.collector.close();
    this.metadata[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
