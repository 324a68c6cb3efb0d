import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { RuntimeInfo, RuntimeRequest } from "@hull/api/gen/containerd/types/introspection";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const introspection = (client: Client) => client.service(IntrospectionDefinition);

/** Plugins that both have, whose requirements are each one's own. */
const shared = [
  "io.containerd.content.v1 content",
  "io.containerd.event.v1 exchange",
  "io.containerd.gc.v1 scheduler",
  "io.containerd.grpc.v1 containers",
  "io.containerd.grpc.v1 content",
  "io.containerd.grpc.v1 diff",
  "io.containerd.grpc.v1 events",
  "io.containerd.grpc.v1 healthcheck",
  "io.containerd.grpc.v1 images",
  "io.containerd.grpc.v1 introspection",
  "io.containerd.grpc.v1 leases",
  "io.containerd.grpc.v1 namespaces",
  "io.containerd.grpc.v1 snapshots",
  "io.containerd.grpc.v1 tasks",
  "io.containerd.grpc.v1 version",
  "io.containerd.metadata.v1 bolt",
  "io.containerd.runtime.v2 task",
  "io.containerd.service.v1 containers-service",
  "io.containerd.service.v1 content-service",
  "io.containerd.service.v1 diff-service",
  "io.containerd.service.v1 images-service",
  "io.containerd.service.v1 namespaces-service",
  "io.containerd.service.v1 snapshots-service",
  "io.containerd.snapshotter.v1 native",
  "io.containerd.snapshotter.v1 overlayfs",
];

comparedService("introspection", (test) => {
  const named = (filters: string[]) => async (client: Client) => {
    const { plugins } = await introspection(client).plugins({ filters });
    const found = plugins.map(({ type, id, platforms, initErr }) => ({ name: `${type} ${id}`, platforms, initErr }));
    return found.filter(({ name }) => shared.includes(name)).sort((one, other) => one.name.localeCompare(other.name));
  };

  test("plugins, by filters", async ({ same }) => {
    for (const filters of [
      [],
      ["id==overlayfs"],
      ["type==io.containerd.snapshotter.v1,id==native"],
      ["type~=grpc", "id~=^task$"],
      ["platforms"],
      ["capabilities"],
      ["unknown"],
    ]) {
      await same(`plugins ${filters.join(" or ")}`, named(filters));
    }
    await same("plugins by a bad filter", named(["id=="]));
    await same("plugins in no namespace", (client) => named(["id==overlayfs"])(client.withNamespace("")));
  });

  test("server", async ({ same }) => {
    const shape = async (client: Client, { side }: { side: { pid: number } }) => {
      const { uuid, pid, deprecations, ...rest } = await introspection(client).server({});
      return {
        ...rest,
        deprecations,
        itself: pid === BigInt(side.pid),
        uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid),
      };
    };
    // The older one knows neither its pid nor its pid namespace.
    await same("server", async (client, server) => {
      const { uuid, deprecations } = await shape(client, server);
      return { uuid, deprecations };
    });
    await same("its process", async (client, server) => (await shape(client, server)).itself, { newer: true });
  });

  test("information of plugins", async ({ same }) => {
    const info = (type: string, id: string, runtimePath?: string) => async (client: Client) => {
      const request = RuntimeRequest.fromPartial({ runtimePath });
      const options =
        runtimePath === undefined ? undefined : encodeAny("containerd.types.RuntimeRequest", RuntimeRequest, request);
      const { plugin, extra } = await introspection(client).pluginInfo({ type, id, options });
      const { features, name } = RuntimeInfo.decode(extra?.value ?? new Uint8Array());
      return { name: `${plugin?.type} ${plugin?.id}`, runtime: name, features };
    };
    const without = { runtime: "", features: undefined };
    // Since 2.0; the texts as 2.1.9 has them.
    await same("none", info("none", "none"), { newer: "notFound: plugin none.none not found" });
    await same("nothing", info("", ""), { newer: "notFound: plugin . not found" });
    await same("a snapshotter", info("io.containerd.snapshotter.v1", "overlayfs"), {
      newer: { name: "io.containerd.snapshotter.v1 overlayfs", ...without },
    });
    await same("the runtime", info("io.containerd.runtime.v2", "task"), {
      newer: { name: "io.containerd.runtime.v2 task", ...without },
    });
    // Another program answers: the one that would run it.
    const features = Bun.spawnSync(["runc", "features"]).stdout.toString();
    const type = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";
    await same("its features", info("io.containerd.runtime.v2", "task", "io.containerd.runc.v2"), {
      own: {
        name: "io.containerd.runtime.v2 task",
        runtime: "io.containerd.hull.v1",
        features: { typeUrl: type, value: features },
      },
    });
  });
});
