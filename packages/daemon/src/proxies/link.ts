import type { ServiceClient, ServiceDefinition } from "@hull/api/rpc";
import type { Client } from "@hull/client/client";
import type { Context } from "@hull/engine/context";

/** A connection to the process behind a proxy plugin: made at the first call, and again after it was lost. */
export class Link implements AsyncDisposable {
  readonly #address: string;
  #client: Promise<Client> | undefined;

  constructor(address: string) {
    this.#address = address;
  }

  /** A service there, for calls in the context's namespace. @throws Unavailable if nobody answers */
  async service<D extends ServiceDefinition>(
    { namespace }: Pick<Context, "namespace">,
    definition: D,
  ): Promise<ServiceClient<D>> {
    this.#client ??= this.#connect();
    const client = await this.#client;
    return client.withNamespace(namespace).service(definition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  async #connect(): Promise<Client> {
    try {
      // A daemon without proxies does without the client.
      const { connect } = await import("@hull/client/client");
      return await connect({ address: this.#address });
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }
}
