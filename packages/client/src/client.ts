import { grpcMetadata } from "@hull/api/metadata";
import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import { deadlineExceeded } from "@hull/errors";
import { connectGrpc, type GrpcConnection } from "./transport/grpc.ts";

/** Where hull's daemon listens unless it is told otherwise. */
export const defaultAddress = "/run/hull/hull.sock";

export interface ConnectOptions {
  /** A socket's path (`unix:///…` too) or `tcp://host:port`; hull's own daemon unless told. */
  address?: string;
  /** "default" unless told. */
  namespace?: string;
  /** Milliseconds until connecting fails with DeadlineExceeded; no limit unless told. */
  timeoutMs?: number;
}

/**
 * A connection to a daemon that speaks containerd's API, in one namespace.
 *
 *   connect({ address, namespace }) ──► service(definition).method(request) … ──► close
 *
 * Clients made by `withNamespace` and `withLeaseId` share the connection of the one that they come from, which alone closes it.
 */
export class Client implements AsyncDisposable {
  readonly namespace: string;
  readonly lease: string | undefined;
  readonly #connection: GrpcConnection;
  readonly #owner: boolean;
  readonly #services = new Map<ServiceDefinition, unknown>();

  constructor(connection: GrpcConnection, options: { namespace: string; lease?: string; owner?: boolean }) {
    this.#connection = connection;
    this.namespace = options.namespace;
    this.lease = options.lease;
    this.#owner = options.owner ?? true;
  }

  get address(): string {
    return this.#connection.address;
  }

  /** A service of the daemon; every call of it is about this client's namespace, under its lease. */
  service<D extends ServiceDefinition>(definition: D): ServiceClient<D> {
    const known = this.#services.get(definition) as ServiceClient<D> | undefined;
    if (known !== undefined) return known;
    const made = this.#connection.client(definition, { metadata: grpcMetadata(this.namespace, this.lease) });
    this.#services.set(definition, made);
    return made;
  }

  withNamespace(namespace: string): Client {
    return new Client(this.#connection, { namespace, owner: false });
  }

  /** Everything that this client's calls create belongs to the lease. */
  withLeaseId(lease: string): Client {
    return new Client(this.#connection, { namespace: this.namespace, lease, owner: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#owner) await this.#connection.close();
  }
}

/** @throws Unavailable, naming the address, if nobody answers there; InvalidArgument for an address of another form */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { address = defaultAddress, namespace = "default", timeoutMs = 0 } = options;
  const connecting = connectGrpc(address);
  const connection = timeoutMs > 0 ? await withinTime(connecting, address, timeoutMs) : await connecting;
  return new Client(connection, { namespace });
}

async function withinTime(
  connecting: Promise<GrpcConnection>,
  address: string,
  timeoutMs: number,
): Promise<GrpcConnection> {
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
