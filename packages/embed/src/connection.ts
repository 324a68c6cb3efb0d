import { inMemoryClient } from "@hull/api/memory";
import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import type { ClientConnection } from "@hull/client/client";
import type { Service } from "@hull/daemon/server/service";
import { unavailable, unimplemented } from "@hull/errors";

/** A client's connection to services in this process: messages cross as bytes, as over a socket, so that nothing is shared. */
export class MemoryConnection implements ClientConnection {
  readonly address: string;
  readonly #services: ReadonlyMap<string, Service>;
  readonly #end: () => Promise<void>;
  #open = true;
  #closing: Promise<void> | undefined;

  /** @param end what closing the connection does; the connection can be used until that is done */
  constructor(address: string, services: readonly Service[], end: () => Promise<void>) {
    this.address = address;
    this.#services = new Map(services.map((service) => [service.definition.fullName, service]));
    this.#end = end;
  }

  client<D extends ServiceDefinition>(
    definition: D,
    options: { metadata?: Readonly<Record<string, string>> } = {},
  ): ServiceClient<D> {
    if (!this.#open) throw unavailable(`the engine on "${this.address}" has been closed`);
    const service = this.#services.get(definition.fullName);
    if (service === undefined) throw unimplemented(`unknown service ${definition.fullName}`);
    return inMemoryClient(definition, service.implementation as Parameters<typeof inMemoryClient<D>>[1], options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end().finally(() => {
      this.#open = false;
    });
    return this.#closing;
  }
}
