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

import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { Client } from "@hull/client/client";
import { Container } from "@hull/client/sdk/containers";
import { Hull } from "@hull/client/sdk/hull";
import { lockFolder, lockRoot } from "@hull/daemon/lock";
import { servicePlugins } from "@hull/daemon/plugins";
import { type Service, servicesOf } from "@hull/daemon/server/service";
import { serveTtrpc } from "@hull/daemon/server/ttrpc";
import { enginePlugins, openEngine, type Engine as Subsystems } from "@hull/engine";
import { requireNoOpenMigration } from "@hull/engine/migrate/journal";
import { pluginTypes } from "@hull/engine/plugin/types";
import { failedPrecondition } from "@hull/errors";
import { MemoryConnection } from "./connection.ts";
import { type EngineOptions, readOptions } from "./options.ts";

export * from "@hull/client";
export type { LogFields, Logger, LogLevel } from "@hull/engine/log";
export type { EngineOptions } from "./options.ts";

/** For the time until shims of an earlier run have told what happened meanwhile, ms. */
const returningMs = 15_000;

/** Without these an engine is none: that one isn't running is told at once, and why. */
const required = [
  "io.containerd.metadata.v1.bolt",
  "io.containerd.content.v1.content",
  "io.containerd.runtime.v2.task",
  "io.containerd.transfer.v1.local",
];

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
   * Opens the engine on a root. It keeps the program running until it is closed.
   * @throws InvalidArgument for options that can't be; FailedPrecondition, naming the process, if another one has the root, and if the
   *   program is not root's
   */
  static async open(options: EngineOptions): Promise<Engine> {
    const { root, state, namespace, containers, plugins, log } = readOptions(options, [
      ...enginePlugins,
      ...servicePlugins,
    ]);
    if (process.getuid?.() !== 0)
      throw failedPrecondition("the engine mounts file systems and starts containers: run the program as root");
    await using opening = new AsyncDisposableStack();
    opening.use(lockRoot(root));
    opening.use(lockFolder(state));
    requireNoOpenMigration(root);
    const ttrpcAddress = join(state, "events.sock");
    const subsystems = opening.use(
      await openEngine({
        root,
        state,
        plugins: servicePlugins,
        required,
        config: plugins,
        properties: { ttrpcAddress },
        ...(log === undefined ? {} : { log }),
      }),
    );
    const served = subsystems.events.keepForReturning(returningMs);
    opening.use(
      await serveTtrpc(ttrpcAddress, { uid: process.getuid(), gid: process.getgid?.() ?? 0 }, subsystems.events),
    );
    await subsystems.resume();
    served();
    const services = servicesOf([...subsystems.plugins.all<Service>(pluginTypes.grpc).values()]);
    const own = new Client(new MemoryConnection(root, services), { namespace });
    if (containers === "end") await endAll(own);
    const running = opening.move();
    const connection = new MemoryConnection(root, services, async () => {
      await using _ = running;
      if (containers === "end") await endAll(own);
      connection.hangUp();
      // What was being started meanwhile.
      if (containers === "end") await endAll(own);
    });
    return new Engine(new Client(connection, { namespace }), subsystems);
  }
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
