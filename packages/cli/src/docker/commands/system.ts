import { readFileSync } from "node:fs";
import { availableParallelism, hostname, release, totalmem } from "node:os";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { version as ownVersion, revision } from "@hull/daemon/version";
import { defaultOciRuntime } from "@hull/engine/runtime/oci-runtime";
import { HullError } from "@hull/errors";
import { cgroupMode } from "@hull/sys/cgroup";
import { needArguments } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { openSession } from "../session.ts";
import { statesOf } from "../state.ts";

/** `hull version` */
export async function version(call: Call): Promise<number> {
  const { args, host } = call;
  needArguments(args, 0, 0, "");
  const lines = ["Client:", ` Version:     ${ownVersion}`, ` Revision:    ${revision}`, ` Bun:         ${Bun.version}`];
  await host.out(`${lines.join("\n")}\n`);
  await using client = await openSession(call);
  const server = await client.service(VersionDefinition).version({});
  await host.out(`\nServer:\n Version:     ${server.version}\n Revision:    ${server.revision}\n`);
  return 0;
}

/** `hull info` */
export async function info(call: Call): Promise<number> {
  const { args, globals, host } = call;
  needArguments(args, 0, 0, "");
  await using client = await openSession(call);
  const introspection = client.service(IntrospectionDefinition);
  const [{ containers }, states, { images }, server, { plugins }, daemon] = await Promise.all([
    client.service(ContainersDefinition).list({}),
    statesOf(client),
    client.service(ImagesDefinition).list({}),
    client.service(VersionDefinition).version({}),
    introspection.plugins({ filters: ["type==io.containerd.snapshotter.v1", "type==io.containerd.transfer.v1"] }),
    introspection.server({}),
  ]);
  const count = (status: string): number =>
    containers.filter(({ id }) => (states.get(id)?.status ?? "created") === status).length;
  const snapshotters = plugins.filter(({ type, initErr }) => type.includes("snapshotter") && initErr === undefined);
  const running = count("running");
  const paused = count("paused");
  const rows: readonly (readonly [string, string | number | bigint])[] = [
    ["Containers", containers.length],
    [" Running", running],
    [" Paused", paused],
    [" Stopped", containers.length - running - paused],
    ["Images", images.length],
    ["Server Version", server.version],
    ["Server Process", daemon.pid],
    ["Server ID", daemon.uuid],
    ["Address", placeOf(globals).address],
    ["Namespace", globals.namespace],
    ["Storage Driver", globals.snapshotter],
    ["Snapshotters", snapshotters.map(({ id }) => id).join(" ")],
    ["OCI Runtime", runtimeName()],
    ["Cgroups", cgroupMode()],
    ["Kernel Version", release()],
    ["Operating System", operatingSystem()],
    ["Architecture", process.arch],
    ["CPUs", availableParallelism()],
    ["Total Memory", `${(totalmem() / 2 ** 30).toFixed(2)}GiB`],
    ["Name", hostname()],
  ];
  await host.out(rows.map(([key, value]) => `${key}: ${value}\n`).join(""));
  return 0;
}

function runtimeName(): string {
  try {
    return defaultOciRuntime();
  } catch (error) {
    return HullError.from(error).message;
  }
}

function operatingSystem(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}
