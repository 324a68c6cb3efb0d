/**
 * hull inside a program: no daemon, no socket for clients, the same face as `@hull/client`.
 *
 *     import { Engine } from "@hull/engine";
 *
 *     await using hull = await Engine.open({ root: "/var/lib/my-program/hull" });
 *     await using container = await hull.run("alpine", { command: ["echo", "hello"] });
 *
 *   open ──► the root is this program's; containers of an earlier run are known again (or ended) ──► … ──► close
 *
 * Containers have processes of their own, which keep them when the program ends, however it ends.
 */

import { join, resolve } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { Client } from "@hull/client/client";
import { Container } from "@hull/client/sdk/containers";
import { Hull } from "@hull/client/sdk/hull";
import { lockRoot } from "@hull/daemon/lock";
import { servicePlugins } from "@hull/daemon/plugins";
import { type Service, servicesOf } from "@hull/daemon/server/service";
import { serveTtrpc } from "@hull/daemon/server/ttrpc";
import { type Logger, openEngine, type Engine as Subsystems } from "@hull/engine";
import { requireNoOpenMigration } from "@hull/engine/migrate/journal";
import { pluginTypes } from "@hull/engine/plugin/types";
import { MemoryConnection } from "./connection.ts";

export * from "@hull/client";
export type { LogFields, Logger, LogLevel } from "@hull/engine/log";

export interface EngineOptions {
  /** Where images, snapshots and records are: this program's alone while it is open. */
  readonly root: string;
  /** Where sockets and mounts of running containers are; should not outlive a reboot. `/run/hull-engine/…` for the root unless told. */
  readonly state?: string;
  /** `default` unless told. */
  readonly namespace?: string;
  /** Whether containers go on when the engine is closed, or the program ends (the default), or are ended; at the next opening too, after a crash. */
  readonly containers?: "keep" | "end";
  /** Tables of the configuration, by plugin: `{ "io.containerd.runtime.v2.task": { oci_runtime: "runc" } }`. */
  readonly plugins?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Where the engine tells what it does; nowhere unless told. */
  readonly log?: Logger;
}

/** For the time until shims of an earlier run have told what happened meanwhile, ms. */
const returningMs = 15_000;

/** An engine that is open. All that a `Hull` can do; disposing of it closes the engine. */
export class Engine extends Hull {
  /**
   * The subsystems themselves, for what has no face.
   * @internal Their types are the whole inside of hull, and change with it.
   */
  readonly subsystems: Subsystems;

  private constructor(api: Client, subsystems: Subsystems) {
    super(api);
    this.subsystems = subsystems;
  }

  /**
   * Opens the engine on a root.
   * @throws FailedPrecondition, naming the process, if another one has the root
   */
  static async open(options: EngineOptions): Promise<Engine> {
    await using opening = new AsyncDisposableStack();
    const root = resolve(options.root);
    const state = resolve(options.state ?? stateFor(root));
    opening.use(lockRoot(root));
    requireNoOpenMigration(root);
    const ttrpcAddress = join(state, "events.sock");
    const subsystems = opening.use(
      await openEngine({
        root,
        state,
        plugins: servicePlugins,
        config: options.plugins ?? {},
        properties: { ttrpcAddress },
        ...(options.log === undefined ? {} : { log: options.log }),
      }),
    );
    const served = subsystems.events.keepForReturning(returningMs);
    opening.use(
      await serveTtrpc(ttrpcAddress, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, subsystems.events),
    );
    await subsystems.resume();
    served();
    const services = servicesOf([...subsystems.plugins.all<Service>(pluginTypes.grpc).values()]);
    const running = opening.move();
    const ends = options.containers === "end";
    const connection = new MemoryConnection(root, services, async () => {
      try {
        if (ends) await endAll(open);
      } finally {
        await running.disposeAsync();
      }
    });
    const open = new Client(connection, { namespace: options.namespace ?? "default" });
    const engine = new Engine(open, subsystems);
    try {
      if (ends) await endAll(open);
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }
}

/** A place below /run that is the root's own, since a reboot has to empty it. */
function stateFor(root: string): string {
  const name = root.replaceAll(/[^A-Za-z0-9]+/g, "-").replace(/^-/, "");
  return `/run/hull-engine/${name}`;
}

/** Takes every container away, in all namespaces. */
async function endAll(client: Client): Promise<void> {
  const hull = new Hull(client);
  for (const { name } of await hull.namespaces.list()) {
    const api = client.withNamespace(name);
    const { containers } = await api.service(ContainersDefinition).list({ filters: [] });
    await Promise.all(containers.map((record) => new Container(api, record).remove({ force: true })));
  }
}
