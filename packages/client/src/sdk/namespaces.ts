import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import type { Client } from "../client.ts";

/** The namespaces of a daemon: each has its own images, containers and the rest. */
export class Namespaces {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async list(): Promise<{ readonly name: string; readonly labels: Readonly<Record<string, string>> }[]> {
    return (await this.#client.service(NamespacesDefinition).list({})).namespaces;
  }

  /** @throws AlreadyExists */
  async create(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#client.service(NamespacesDefinition).create({ namespace: { name, labels: { ...labels } } });
  }

  /** @throws NotFound; FailedPrecondition if it isn't empty */
  async delete(name: string): Promise<void> {
    await this.#client.service(NamespacesDefinition).delete({ name });
  }
}
