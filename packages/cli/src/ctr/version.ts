import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { releaseOf } from "@hull/api/release";
import { revision, version } from "@hull/daemon/version";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { goJson, messageToGo } from "./go-json.ts";

export const printVersion: CtrAction = async ({ globals, host }) => {
  await host.out(`Client:\n  Version:  ${version}\n  Revision: ${revision}\n  Bun version: ${Bun.version}\n\n`);
  return await withClient(globals, async (client) => {
    const [server, info] = await Promise.all([
      client.service(VersionDefinition).version({}),
      client.service(IntrospectionDefinition).server({}),
    ]);
    await host.out(`Server:\n  Version:  ${server.version}\n  Revision: ${server.revision}\n  UUID: ${info.uuid}\n`);
    if (server.version !== releaseOf(version)) host.err("WARNING: version mismatch\n");
    if (server.revision !== revision) host.err("WARNING: revision mismatch\n");
    return 0;
  });
};

export const printInfo: CtrAction = ({ globals, host }) =>
  withClient(globals, async (client) => {
    const info = await client.service(IntrospectionDefinition).server({});
    await host.out(`${goJson({ server: messageToGo(info) }, "    ")}\n`);
    return 0;
  });
