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
import { compileTemplate } from "../../template/index.ts";
import { needArguments } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { openSession } from "../session.ts";
import { statesOf } from "../state.ts";

/** `hull version` */
export async function version(call: Call<{ format: string | undefined }>): Promise<number> {
  const { args, host } = call;
  needArguments(args, 0, 0, "");
  const { format } = call.flags;
  const client = { Version: ownVersion, GitCommit: revision, Bun: Bun.version };
  if (format === undefined || format === "") {
    const rows = [` Version:     ${ownVersion}`, ` Revision:    ${revision}`, ` Bun:         ${Bun.version}`];
    await host.out(`Client:\n${rows.join("\n")}\n`);
  }
  const template = format === undefined || format === "" || format === "json" ? undefined : compileTemplate(format);
  await using session = await openSession(call);
  const answer = await session.service(VersionDefinition).version({});
  const server = { Version: answer.version, GitCommit: answer.revision };
  const shown = { Client: client, Server: server };
  if (template !== undefined) await host.out(`${template(shown)}\n`);
  else if (format === "json") await host.out(`${JSON.stringify(shown)}\n`);
  else await host.out(`\nServer:\n Version:     ${server.Version}\n Revision:    ${server.GitCommit}\n`);
  return 0;
}

/** `hull info` */
export async function info(call: Call<{ format: string | undefined }>): Promise<number> {
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
  const { format } = call.flags;
  if (format === undefined || format === "") {
    await host.out(rows.map(([key, value]) => `${key}: ${value}\n`).join(""));
    return 0;
  }
  // The names without their blanks are docker's where it has the same: ServerVersion, KernelVersion, …
  const shown: Record<string, unknown> = Object.fromEntries(
    rows.map(([key, value]) => [fieldOf(key), typeof value === "bigint" ? Number(value) : value]),
  );
  await host.out(`${format === "json" ? JSON.stringify(shown) : compileTemplate(format)(shown)}\n`);
  return 0;
}

const dockerFields: Readonly<Record<string, string>> = {
  " Running": "ContainersRunning",
  " Paused": "ContainersPaused",
  " Stopped": "ContainersStopped",
  "Storage Driver": "Driver",
  CPUs: "NCPU",
};

const fieldOf = (key: string): string => dockerFields[key] ?? key.replaceAll(" ", "");

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
