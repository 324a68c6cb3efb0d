/**
 * A plugin as an example, and for the tests: it gives each container an environment variable, and writes what it is called with to the
 * file that its configuration names, a line each. It is launched by NRI (`NRI_PLUGIN_SOCKET` is a descriptor), or connects to the socket
 * that its argument names.
 */
import { appendFileSync } from "node:fs";
import { CreateContainerResponse } from "@hull/api/gen/nri/v1alpha1/nri";
import { linkFactory } from "@hull/link";
import { idle, servePlugin } from "./fixture.ts";

async function main(): Promise<void> {
  const { NRI_PLUGIN_SOCKET: fd, NRI_PLUGIN_NAME: name = "sample", NRI_PLUGIN_IDX: index = "50" } = process.env;
  const [, , path = ""] = process.argv;
  const { connect } = await linkFactory();
  const link = await connect(fd === undefined ? { path } : { fd: Number(fd) });
  let file = "/dev/null";
  const note = (text: string): void => appendFileSync(file, `${text}\n`);
  const plugin = await servePlugin(
    link,
    { index, name },
    {
      ...idle,
      configure: async ({ config, runtimeName }) => {
        file = config.trim() || file;
        note(`configure ${runtimeName}`);
        return { events: 0 };
      },
      synchronize: async ({ pods, containers, more }) => {
        note(`synchronize ${pods.length} ${containers.length}`);
        return { update: [], more };
      },
      createContainer: async ({ pod, container }) => {
        note(`create ${pod?.name} ${container?.name}`);
        return CreateContainerResponse.fromPartial({ adjust: { env: [{ key: "SAMPLE", value: name }] } });
      },
      removeContainer: async ({ container }) => {
        note(`remove ${container?.name}`);
        return {};
      },
    },
  );
  await plugin.closed;
}

if (import.meta.main) await main();
