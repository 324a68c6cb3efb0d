import { writeFileSync } from "node:fs";
import type { MountOption, RunningContainer } from "@hull/client";
import { memberName } from "@hull/client/network/networks";
import { failedPrecondition, invalidArgument } from "@hull/errors";

/** What is in every /etc/hosts. */
const head = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/**
 * Containers that find each other by name, and that no others find: those that are started with `network` and `names`.
 *
 *   createNetwork ──► startContainer(…, { network, names }) … ──► disposed of, or gone with its session
 *
 * It is a bridge of the host's own, which no other bridge of hull's reaches, and the other way round. Each container has the same /etc/hosts,
 * which changes as they come and go.
 */
export class TestNetwork implements AsyncDisposable {
  /** The network that its containers are on. */
  readonly name: string;
  readonly #file: string;
  readonly #remove: () => Promise<void>;
  readonly #members = new Map<RunningContainer, readonly string[]>();
  #disposed: Promise<void> | undefined;

  /** @param file becomes the containers' /etc/hosts @param remove takes the network away, where that is to be */
  constructor(name: string, file: string, remove: () => Promise<void>) {
    this.name = name;
    this.#file = file;
    this.#remove = remove;
    this.#write();
  }

  /** What a container of it needs. */
  get mount(): MountOption {
    return { type: "bind", source: this.#file, target: "/etc/hosts", readOnly: true };
  }

  /** @throws InvalidArgument for names that can't be in /etc/hosts */
  static checkNames(names: readonly string[]): void {
    for (const name of names)
      if (!memberName.test(name))
        throw invalidArgument(
          `"${name}" can't be a container's name on a network: use letters, digits, "-", "_" and "."`,
        );
  }

  /** The container is found by these names from now on. */
  add(container: RunningContainer, names: readonly string[]): void {
    if (container.address === undefined)
      throw failedPrecondition(`container "${container.id}" has no address on network "${this.name}"`);
    this.#members.set(container, names);
    this.#write();
  }

  delete(container: RunningContainer): void {
    if (this.#members.delete(container)) this.#write();
  }

  /** Takes the network away. Its containers have to be gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#members.size > 0)
      throw failedPrecondition(
        `network "${this.name}" has ${this.#members.size} containers: dispose of them before the network`,
      );
    this.#disposed ??= this.#remove();
    await this.#disposed;
  }

  #write(): void {
    const lines = [...this.#members].flatMap(([{ address = "" }, names]) =>
      names.length === 0 ? [] : [`${address}\t${names.join(" ")}\n`],
    );
    // In place: the file is what containers have mounted.
    writeFileSync(this.#file, head + lines.join(""), { mode: 0o644 });
  }
}
