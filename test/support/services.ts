import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import { type Client, connect } from "@hull/client/client";
import { codes, HullError } from "@hull/errors";
import { normalize, type Side, startSides } from "./compare.ts";
import { noContainerd } from "./containerd.ts";
import { type Scratch, scratch } from "./scratch.ts";

/** One daemon, and a client of it in the namespace that stands in for "default". */
export interface Server {
  readonly side: Side;
  readonly client: Client;
}

export interface CallOptions {
  /** What has to differ here beyond what is known of everywhere: replaced by "…" in every text. */
  mask?: RegExp;
  /**
   * What containerd 2.1.9 was seen to answer, where an older one answers otherwise: hull has to answer as the newer. A function makes it of
   * the older's answer.
   */
  newer?: unknown;
  /** What hull answers, where neither is followed: for a reason that stands beside the call. A function makes it of containerd's answer. */
  own?: unknown;
  /** The newer containerd panics at this call, or has lost a check without which later calls differ: it is made to an older one alone. */
  olderAlone?: boolean;
}

/** Calls made to the real containerd and to hull; what they answer is collected where it differs. */
export class ServicePair<S extends Server = Server> {
  readonly folder: Scratch;
  readonly servers: readonly [S, S];
  /** True if the containerd that is compared with is of version 1, whose answers differ from today's here and there. */
  readonly older: boolean;
  readonly #wanted: Record<string, unknown> = {};
  readonly #seen: Record<string, unknown> = {};
  #calls = 0;

  constructor(folder: Scratch, servers: readonly [S, S], older: boolean) {
    this.folder = folder;
    this.servers = servers;
    this.older = older;
  }

  /** Makes a call of each, first of containerd; a stream is read to its end. Gives hull's outcome: the answer, or `code: text`. */
  readonly same = async (
    what: string,
    call: (client: Client, server: S) => Promise<unknown> | AsyncIterable<unknown>,
    options: CallOptions = {},
  ): Promise<unknown> => {
    if (!this.older && options.olderAlone === true) return undefined;
    const containerd = await outcomeOf(this.servers[0], call, options);
    if (typeof containerd === "string" && /^unavailable: .*connect/.test(containerd))
      throw new Error(`"${what}": ${containerd}`);
    const hull = await outcomeOf(this.servers[1], call, options);
    const wanted =
      "own" in options
        ? madeOf(containerd, options.own)
        : this.older && "newer" in options
          ? madeOf(containerd, options.newer)
          : containerd;
    this.#calls++;
    if (!Bun.deepEquals(hull, wanted)) {
      this.#wanted[`${this.#calls} ${what}`] = wanted;
      this.#seen[`${this.#calls} ${what}`] = hull;
    }
    return hull;
  };

  /** Does the same on both without comparing. */
  readonly each = async (work: (client: Client, server: S) => Promise<unknown>): Promise<void> => {
    for (const server of this.servers) await work(server.client, server);
  };

  /**
   * Compares the events that `work` leads to, in order, those that the filters let through. `lateMs` is how long to wait for those that
   * shims send in their own time.
   */
  async sameEvents(
    work: () => Promise<void>,
    options: CallOptions & { filters?: readonly string[]; lateMs?: number } = {},
  ): Promise<void> {
    await using stack = new AsyncDisposableStack();
    const watches: EventLog[] = [];
    for (const server of this.servers) watches.push(stack.use(await EventLog.start(server, options.filters)));
    await work();
    if (options.lateMs !== undefined) await Bun.sleep(options.lateMs);
    let next = 0;
    const end = async (): Promise<readonly SeenEvent[]> => (await watches[next++]?.end()) ?? [];
    await this.same("events", async () => (this.older ? (await end()).flatMap(asOlder) : await end()), options);
  }

  /** @throws what `expect` throws for the differences since the last call */
  verify(): void {
    const seen = { ...this.#seen };
    const wanted = { ...this.#wanted };
    for (const record of [this.#seen, this.#wanted]) for (const key of Object.keys(record)) delete record[key];
    if (Object.keys(wanted).length > 0) expect(seen).toEqual(wanted);
  }
}

const madeOf = (answer: unknown, other: unknown): unknown => (typeof other === "function" ? other(answer) : other);

async function outcomeOf<S extends Server>(
  server: S,
  call: (client: Client, server: S) => Promise<unknown> | AsyncIterable<unknown>,
  { mask }: CallOptions,
): Promise<unknown> {
  const shape = (value: unknown): unknown => shapeOf(value, (text) => textOf(server.side, text, mask));
  try {
    const answer = call(server.client, server);
    if (!(Symbol.asyncIterator in answer)) return shape(await answer);
    const messages: unknown[] = [];
    try {
      for await (const message of answer) messages.push(shape(message));
    } catch (error) {
      return { messages, error: shape(errorText(error)) };
    }
    return messages;
  } catch (error) {
    return shape(errorText(error));
  }
}

function errorText(thrown: unknown): string {
  const { code, message } = HullError.from(thrown);
  // Older ones say the kind of some errors twice.
  const text = `: ${codes[code].text}`;
  return `${code}: ${message.endsWith(text) ? message.slice(0, -text.length) : message}`;
}

function textOf(side: Side, text: string, mask: RegExp | undefined): string {
  const plain = normalize(side.named(text), side.folder);
  return mask === undefined ? plain : plain.replace(mask, "…");
}

/** Whether a number is a moment of the years that tests run in, as the CRI writes them. */
const isNanoseconds = (value: bigint): boolean =>
  value > 1_600_000_000n * 10n ** 9n && value < 4_000_000_000n * 10n ** 9n;

/** A message with times, pids and bytes as they can be compared. */
function shapeOf(value: unknown, text: (text: string) => string, field = ""): unknown {
  if (typeof value === "string") return text(value);
  if (typeof value === "bigint") return isNanoseconds(value) ? "TIME" : `${value}n`;
  if (typeof value === "number") return /^pid$|Pid$/.test(field) && value > 0 ? "PID" : value;
  if (value instanceof Uint8Array) return text(Buffer.from(value).toString("latin1"));
  if (Array.isArray(value)) return value.map((element) => shapeOf(element, text, field));
  if (typeof value !== "object" || value === null) return value;
  if ("seconds" in value && typeof value.seconds === "bigint") {
    return value.seconds < 0n ? "NO TIME" : value.seconds === 0n ? "1970" : "TIME";
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [text(name), shapeOf(part, text, name)]));
}

interface SeenEvent {
  topic: string;
  namespace: string;
  event: unknown;
}

/** What an older containerd tells of it: nothing of new blobs, of namespaces not in themselves, and of snapshots not whose. */
function asOlder(seen: SeenEvent): SeenEvent[] {
  if (seen.topic === "/content/create") return [];
  if (/^\/namespaces\/(create|update)$/.test(seen.topic)) return [{ ...seen, namespace: "" }];
  if (!seen.topic.startsWith("/snapshot/") || !isUnpacked(seen.event)) return [seen];
  return [{ ...seen, event: { ...seen.event, message: { ...seen.event.message, snapshotter: "" } } }];
}

/** Events of one daemon in the test's namespace from its start on. */
class EventLog implements AsyncDisposable {
  readonly #server: Server;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  readonly #events: SeenEvent[] = [];
  #onEvent = () => {};
  #marks = 0;

  private constructor(server: Server, filters: readonly string[]) {
    this.#server = server;
    this.#reading = this.#read(filters.length === 0 ? [] : [...filters, 'topic=="/namespaces/create"']);
  }

  static async start(server: Server, filters: readonly string[] = []): Promise<EventLog> {
    const log = new EventLog(server, filters);
    await log.#mark();
    return log;
  }

  /** All up to now. */
  async end(): Promise<readonly SeenEvent[]> {
    await this.#mark();
    return this.#events.filter(({ topic, event }) => !(topic === "/namespaces/create" && isMark(event)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#reading;
  }

  /** A subscriber isn't told when it is one: an event of our own tells, and that all before it have come. */
  async #mark(): Promise<void> {
    const { client, side } = this.#server;
    for (let tries = 0; tries < 400; tries++) {
      const name = `mark-${side.name}-${performance.now().toFixed(3).replace(".", "-")}-${this.#marks++}`;
      const namespaces = client.service(NamespacesDefinition);
      await namespaces.create({ namespace: { name } });
      const shown = this.#shown(name);
      const found = await Promise.race([shown.then(() => true), Bun.sleep(100).then(() => false)]);
      await namespaces.delete({ name });
      if (found) return;
    }
    throw new Error(`${side.name}: events are not shown`);
  }

  async #shown(name: string): Promise<void> {
    const isIt = ({ event }: { event: unknown }): boolean => isMark(event) && event.message.name === name;
    while (!this.#events.some(isIt)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onEvent = resolve;
      await promise;
    }
  }

  async #read(filters: string[]): Promise<void> {
    const { client } = this.#server;
    try {
      const events = client.service(EventsDefinition).subscribe({ filters }, { signal: this.#abort.signal });
      for await (const { topic, namespace, event } of events) {
        const known = event !== undefined && isKnownType(typeNameOf(event.typeUrl));
        const decoded = known ? await unpackAny(event) : event;
        // The marks' ends are none of the test's events.
        if (topic === "/namespaces/delete" && isMark(decoded)) continue;
        this.#events.push({ topic, namespace, event: decoded });
        this.#onEvent();
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }
}

function isUnpacked(event: unknown): event is { message: Record<string, unknown> } {
  return typeof event === "object" && event !== null && "message" in event && typeof event.message === "object";
}

function isMark(event: unknown): event is { message: { name: string } } {
  if (!isUnpacked(event)) return false;
  const { name } = event.message;
  return typeof name === "string" && name.startsWith("mark-");
}

/** The tests of a service: each fails at its end for every call whose outcome differed, all at once. */
export type ServiceTest = (name: string, body: (pair: ServicePair) => Promise<void>) => void;

/** A suite of calls to both daemons; skipped where there is no real one. */
export function comparedService(name: string, body: (test: ServiceTest) => void): void {
  const suite = noContainerd === undefined ? describe : describe.skip;
  suite(noContainerd === undefined ? name : `${name} (skipped: ${noContainerd})`, () => {
    const stack = new AsyncDisposableStack();
    let pair: ServicePair | undefined;
    beforeAll(async () => {
      const folder = stack.use(scratch());
      const { sides } = stack.use(await startSides(folder.path));
      const server = async (side: Side): Promise<Server> => ({
        side,
        client: stack.use(await connect({ address: side.address, namespace: side.namespace })),
      });
      const servers = [await server(sides[0]), await server(sides[1])] as const;
      const { version } = await servers[0].client.service(VersionDefinition).version({});
      pair = new ServicePair(folder, servers, version.startsWith("1."));
    });
    afterAll(() => stack.disposeAsync());
    body((title, run) =>
      test(title, async () => {
        if (pair === undefined) throw new Error("the daemons are not started");
        await run(pair);
        pair.verify();
      }),
    );
  });
}
