import { grpcMetadata } from "@hull/api/metadata";
import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { deadlineExceeded } from "@hull/errors";
import { connectGrpc } from "./transport/grpc.ts";

/** Where hull's daemon listens unless it is told otherwise. */
export const defaultAddress = "/run/hull/hull.sock";

export interface ConnectOptions {
  /**
   * A socket's path (`unix:///…` too) or `tcp://host:port`. Unless told what the environment says in `HULL_ADDRESS` or `CONTAINERD_ADDRESS`,
   * as for the command line, else hull's own daemon.
   */
  address?: string;
  /** "default" unless told. */
  namespace?: string;
  /** Milliseconds until connecting fails with DeadlineExceeded; no limit unless told. */
  timeoutMs?: number;
}

/** What carries a client's calls: a socket, or memory where the services are in this process. */
export interface ClientConnection {
  /** What it leads to, for messages. */
  readonly address: string;
  /** Tells the control groups of these containers from those of others on this host, whose ids may be the same; none for a daemon. */
  readonly mark?: string;
  /** A typed client of a service; `metadata` goes with every call. */
  client<D extends ServiceDefinition>(
    definition: D,
    options?: { metadata?: Readonly<Record<string, string>> },
  ): ServiceClient<D>;
  close(): Promise<void>;
}

/** What holds for every call of a client that doesn't say otherwise. */
export interface CallDefaults {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/**
 * A connection to a daemon that speaks containerd's API, in one namespace.
 *
 *   connect({ address, namespace }) ──► service(definition).method(request) … ──► close
 *
 * Clients made by `withNamespace`, `withLeaseId` and `within` share the connection of the one that they come from, which alone closes it.
 */
export class Client implements AsyncDisposable {
  readonly namespace: string;
  readonly lease: string | undefined;
  readonly #connection: ClientConnection;
  readonly #owner: boolean;
  readonly #defaults: CallDefaults;
  readonly #services = new Map<ServiceDefinition, unknown>();

  constructor(
    connection: ClientConnection,
    options: { namespace: string; lease?: string; owner?: boolean; defaults?: CallDefaults },
  ) {
    this.#connection = connection;
    this.namespace = options.namespace;
    this.lease = options.lease;
    this.#owner = options.owner ?? true;
    this.#defaults = options.defaults ?? {};
  }

  get address(): string {
    return this.#connection.address;
  }

  /** See `ClientConnection`. */
  get mark(): string | undefined {
    return this.#connection.mark;
  }

  /** A service of the daemon; every call of it is about this client's namespace, under its lease. */
  service<D extends ServiceDefinition>(definition: D): ServiceClient<D> {
    const known = this.#services.get(definition) as ServiceClient<D> | undefined;
    if (known !== undefined) return known;
    const made = withDefaults(
      this.#connection.client(definition, { metadata: grpcMetadata(this.namespace, this.lease) }),
      this.#defaults,
    );
    this.#services.set(definition, made);
    return made;
  }

  withNamespace(namespace: string): Client {
    return this.#derived({ namespace });
  }

  /** Everything that this client's calls create belongs to the lease. */
  withLeaseId(lease: string): Client {
    return this.#derived({ lease });
  }

  /** The same, whose calls end with the signal, and after so many milliseconds each, unless they say otherwise. */
  within(defaults: CallDefaults): Client {
    return this.#derived({ defaults: { ...this.#defaults, ...defaults } });
  }

  #derived(change: { namespace?: string; lease?: string; defaults?: CallDefaults }): Client {
    const { namespace, lease } = this;
    const kept = change.namespace === undefined && lease !== undefined ? { lease } : {};
    return new Client(this.#connection, { namespace, ...kept, defaults: this.#defaults, ...change, owner: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#owner) await this.#connection.close();
  }
}

/** A service whose calls have these options unless they say otherwise. */
function withDefaults<D extends ServiceDefinition>(client: ServiceClient<D>, defaults: CallDefaults): ServiceClient<D> {
  if (defaults.signal === undefined && defaults.timeoutMs === undefined) return client;
  type Method = (request: unknown, options?: object) => unknown;
  const methods = Object.entries(client as Readonly<Record<string, Method>>);
  const bounded = methods.map(([name, method]): [string, Method] => [
    name,
    (request, options) => method(request, { ...defaults, ...options }),
  ]);
  return Object.fromEntries(bounded) as unknown as ServiceClient<D>;
}

/** @throws Unavailable, naming the address, if nobody answers there; InvalidArgument for an address of another form */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { address = addressOfEnvironment(), namespace = "default", timeoutMs = 0 } = options;
  const connecting = connectGrpc(address);
  const connection = timeoutMs > 0 ? await withinTime(connecting, address, timeoutMs) : await connecting;
  return new Client(connection, { namespace });
}

function addressOfEnvironment(): string {
  const { HULL_ADDRESS, CONTAINERD_ADDRESS } = process.env;
  return HULL_ADDRESS || CONTAINERD_ADDRESS || defaultAddress;
}

async function withinTime(
  connecting: Promise<ClientConnection>,
  address: string,
  timeoutMs: number,
): Promise<ClientConnection> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(deadlineExceeded(`connecting to "${address}" took longer than ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([connecting, promise]);
  } catch (error) {
    // It may still succeed after the time is up.
    connecting.then((late) => late.close()).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
