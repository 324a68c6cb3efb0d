import { inMemoryClient, OpenCalls } from "@hull/api/memory";
import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import type { ClientConnection } from "@hull/client/client";
import type { Service } from "@hull/daemon/server/service";
import { unavailable, unimplemented } from "@hull/errors";
import { markOf } from "./options.ts";

/** A client's connection to services in this process: messages cross as bytes, as over a socket, so that nothing is shared. */
export class MemoryConnection implements ClientConnection {
  readonly address: string;
  readonly mark: string;
  readonly #services: ReadonlyMap<string, Service>;
  readonly #end: () => Promise<void>;
  readonly #calls = new OpenCalls();
  #closing: Promise<void> | undefined;

  /** @param end what closing does: the connection is usable until `hangUp` is called in there */
  constructor(address: string, services: readonly Service[], end: () => Promise<void> = async () => {}) {
    this.address = address;
    this.mark = markOf(address);
    this.#services = new Map(services.map((service) => [service.definition.fullName, service]));
    this.#end = end;
  }

  client<D extends ServiceDefinition>(
    definition: D,
    { metadata = {} }: { metadata?: Readonly<Record<string, string>> } = {},
  ): ServiceClient<D> {
    const service = this.#services.get(definition.fullName);
    if (service === undefined) throw unimplemented(`unknown service ${definition.fullName}`);
    const implementation = service.implementation as Parameters<typeof inMemoryClient<D>>[1];
    return inMemoryClient(definition, implementation, { metadata, connection: this.#calls });
  }

  /** Fails calls under way, and those that follow. */
  hangUp(): void {
    this.#calls.end(unavailable(`the engine on "${this.address}" has been closed`));
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }
}
