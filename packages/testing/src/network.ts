import { writeFileSync } from "node:fs";
import type { MountOption, RunningContainer } from "@hull/client";
import { failedPrecondition, invalidArgument } from "@hull/errors";

/** What is in every /etc/hosts. */
const head = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/**
 * Containers that find each other by name: those that are started with `network` and `names`.
 *
 * Each has the same /etc/hosts, which changes as they come and go. They share the host's bridge with all others: a network gives names,
 * it keeps nobody apart.
 */
export class TestNetwork {
  /** The network that its containers are on. */
  readonly name: string;
  readonly #file: string;
  readonly #members = new Map<RunningContainer, readonly string[]>();

  /** @param file becomes the containers' /etc/hosts */
  constructor(name: string, file: string) {
    this.name = name;
    this.#file = file;
    this.#write();
  }

  /** What a container of it needs. */
  get mount(): MountOption {
    return { type: "bind", source: this.#file, target: "/etc/hosts", readOnly: true };
  }

  /** @throws InvalidArgument for names that can't be in /etc/hosts */
  static checkNames(names: readonly string[]): void {
    for (const name of names)
      if (!/^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(name))
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

  #write(): void {
    const lines = [...this.#members].flatMap(([{ address = "" }, names]) =>
      names.length === 0 ? [] : [`${address}\t${names.join(" ")}\n`],
    );
    // In place: the file is what containers have mounted.
    writeFileSync(this.#file, head + lines.join(""), { mode: 0o644 });
  }
}
