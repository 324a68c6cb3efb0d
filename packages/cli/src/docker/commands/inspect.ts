import { dateOfTimestamp } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { type Image, platformImage } from "@hull/client/images";
import { logPlaceOf } from "@hull/client/logs/place";
import { addressesIn, type NetworkAddress, portsOf } from "@hull/client/network/index";
import { parseRestartPolicy, restartLabels } from "@hull/engine/restart/policy";
import { HullError, invalidArgument, isCode, notFound } from "@hull/errors";
import type { Spec } from "@hull/oci/spec";
import { compileTemplate } from "../../template/index.ts";
import { findContainer, findImages, nameOf, needArguments } from "../find.ts";
import { formatJson } from "../format.ts";
import { type Call, placeOf } from "../globals.ts";
import { describeHealth, healthCheckOfContainer } from "../health.ts";
import { commandOf, hasInit } from "../init.ts";
import { labelNames, userLabels } from "../labels.ts";
import { explain, openSession } from "../session.ts";
import { stateOf } from "../state.ts";
import { mountsGiven } from "../volumes/given.ts";
import { volumesOf } from "../volumes/index.ts";

/** When something hasn't happened, in Docker's JSON: Go's zero time. */
const never = "0001-01-01T00:00:00Z";

/** `hull inspect`: a list of what the arguments name, containers before images. */
export async function inspect(call: Call<{ type: string | undefined; format: string | undefined }>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "a container, image or pod is");
  const { type } = flags;
  const template = flags.format === undefined || flags.format === "json" ? undefined : compileTemplate(flags.format);
  if (type !== undefined && type !== "container" && type !== "image" && type !== "pod")
    throw invalidArgument(`type "${type}" is not one of container, image, pod`);
  await using client = await openSession(call);
  const found: unknown[] = [];
  let status = 0;
  for (const key of args) {
    try {
      found.push(await describe(client, { key, type, root: placeOf(globals).root }));
    } catch (error) {
      host.err(`hull: ${explain(error, globals)}\n`);
      status = 1;
    }
  }
  if (flags.format === "json") await host.out(`${JSON.stringify(found)}\n`);
  else if (template === undefined) await host.out(formatJson(found));
  else for (const each of found) await host.out(`${template(each)}\n`);
  return status;
}

async function describe(
  client: Client,
  { key, type, root }: { key: string; type: string | undefined; root: string },
): Promise<unknown> {
  if (type === "container") return await describeContainer(client, await findContainer(client, key), root);
  if (type === "pod") return await describePodOf(client, key);
  let missing: HullError | undefined;
  if (type === undefined) {
    try {
      return await describeContainer(client, await findContainer(client, key), root);
    } catch (error) {
      if (!isCode(error, "notFound")) throw error;
      missing = error;
    }
  }
  try {
    const [first, ...others] = await findImages(client, key);
    if (first === undefined) throw notFound(`no such image: "${key}"`);
    return await describeImage(client, [first, ...others]);
  } catch (error) {
    if (!isCode(error, "notFound") || missing === undefined) throw error;
    return await describePodOrNone(client, key, [missing, error]);
  }
}

/** The last thing that a name may mean. @throws NotFound with what was meant perhaps, also if the daemon serves no pods */
async function describePodOrNone(client: Client, key: string, before: readonly HullError[]): Promise<unknown> {
  try {
    return await describePodOf(client, key);
  } catch (thrown) {
    const error = HullError.from(thrown);
    if (error.code !== "notFound" && !isCode(error.cause, "unimplemented")) throw error;
    const hints = [...before, error].flatMap(({ message }) => /; did you mean .*$/.exec(message)?.[0] ?? []);
    throw notFound(`no such container, image or pod: "${key}"${hints[0] ?? ""}`);
  }
}

async function describePodOf(client: Client, key: string): Promise<unknown> {
  const { describePod, findPod } = await import("../pods.ts");
  return await describePod(client, await findPod(client, key));
}

async function describeContainer(client: Client, container: Container, root: string): Promise<unknown> {
  const { id, labels, image, createdAt, snapshotter, runtime } = container;
  const state = await stateOf(client, id);
  const spec = specOf(container);
  const health = await describeHealth(client, container, root);
  const healthcheck = healthCheckOfContainer(container);
  const process = spec?.process;
  const [path = "", ...args] = commandOf(spec);
  return {
    Id: id,
    Created: dateOfTimestamp(createdAt)?.toISOString() ?? never,
    Path: path,
    Args: args,
    State: {
      Status: state.status,
      Running: state.status === "running" || state.status === "paused",
      Paused: state.status === "paused",
      Restarting: false,
      OOMKilled: false,
      Dead: false,
      Pid: state.status === "exited" ? 0 : state.pid,
      ExitCode: state.exitCode,
      Error: "",
      StartedAt: state.startedAt?.toISOString() ?? never,
      FinishedAt: state.finishedAt?.toISOString() ?? never,
      ...(health === undefined ? {} : { Health: health }),
    },
    Image: image,
    LogPath: logPlaceOf(container)?.file ?? "",
    Name: `/${nameOf(container)}`,
    RestartCount: Number(labels[restartLabels.count] ?? 0),
    Driver: snapshotter,
    Platform: "linux",
    HostConfig: hostConfig(container, spec),
    Mounts: mountsOf(container),
    Config: {
      Hostname: spec?.hostname ?? "",
      User:
        process?.user === undefined || (process.user.uid === 0 && process.user.gid === 0)
          ? ""
          : `${process.user.uid}:${process.user.gid}`,
      Tty: process?.terminal === true,
      OpenStdin: labels[labelNames.stdin] === "true",
      Env: process?.env ?? [],
      Cmd: commandOf(spec),
      Image: image,
      WorkingDir: process?.cwd ?? "",
      ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }),
      Labels: userLabels(labels),
    },
    NetworkSettings: networkSettings(container, client.namespace, state.status === "running"),
    Runtime: runtime?.name ?? "",
  };
}

function networkSettings(container: Container, namespace: string, running: boolean): unknown {
  const ports: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { containerPort, protocol, hostIP = "0.0.0.0", hostPort } of portsOf(container)) {
    const key = `${containerPort}/${protocol}`;
    ports[key] = [...(ports[key] ?? []), { HostIp: hostIP, HostPort: String(hostPort) }];
  }
  const all = running ? addressesIn(container, namespace, process.env) : [];
  const networks = all.map((found) => [found.network, settingsOf(found)] as const);
  const [first] = all;
  return { Ports: running ? ports : {}, ...settingsOf(first), Networks: Object.fromEntries(networks) };
}

function settingsOf(found: NetworkAddress | undefined): Record<string, string | number> {
  const [address = "", prefix = "0"] = found?.address.split("/") ?? [];
  return {
    Gateway: found?.gateway ?? "",
    IPAddress: address,
    IPPrefixLen: Number(prefix),
    MacAddress: found?.mac ?? "",
  };
}

function hostConfig(container: Container, spec: Spec | undefined): unknown {
  const { labels, runtime } = container;
  const resources = spec?.linux?.resources;
  const { quota, period } = resources?.cpu ?? {};
  return {
    NetworkMode: labels[labelNames.network] ?? "none",
    AutoRemove: labels[labelNames.autoRemove] === "true",
    RestartPolicy: restartPolicy(labels),
    Init: hasInit(spec),
    Privileged: spec?.linux !== undefined && spec.linux.maskedPaths === undefined,
    ReadonlyRootfs: spec?.root.readonly === true,
    Runtime: runtime?.name ?? "",
    Memory: resources?.memory?.limit ?? 0,
    NanoCpus: quota === undefined || period === undefined ? 0 : Math.round((quota / period) * 1e9),
    PidsLimit: resources?.pids?.limit ?? null,
    CgroupParent: "",
    Binds: mountsGiven(container).map(
      ({ source, destination, options = [] }) => `${source}:${destination}${options.includes("ro") ? ":ro" : ""}`,
    ),
  };
}

function restartPolicy(labels: Container["labels"]): unknown {
  const { name, maximumRetries } = parseRestartPolicy(labels[restartLabels.policy] ?? "no");
  return { Name: name, MaximumRetryCount: maximumRetries };
}

const kindOf = (volume: string | undefined): Record<string, string> =>
  volume === undefined ? { Type: "bind" } : { Type: "volume", Name: volume, Driver: "local" };

function mountsOf(container: Container): unknown[] {
  const volumes = volumesOf(container);
  return mountsGiven(container).map(({ source, destination, options = [] }) => ({
    ...kindOf(volumes.find((volume) => volume.destination === destination)?.name),
    Source: source,
    Destination: destination,
    Mode: options.join(","),
    RW: !options.includes("ro"),
    Propagation: options.find((option) => /private|shared|slave/.test(option)) ?? "",
  }));
}

async function describeImage(client: Client, images: readonly [Image, ...Image[]]): Promise<unknown> {
  const [{ target }] = images;
  const { config, manifest, descriptor } = await platformImage(client, target);
  const { user, env, entrypoint, cmd, workingDir, labels, exposedPorts, volumes, stopSignal, healthcheck } =
    config.config;
  const names = images.map(({ name }) => name);
  const asSet = (keys: readonly string[]): unknown =>
    keys.length === 0 ? null : Object.fromEntries(keys.map((key) => [key, {}]));
  return {
    Id: target.digest,
    RepoTags: names,
    RepoDigests: names.map((name) => `${name.replace(/(:[^:/@]+)?(@.*)?$/, "")}@${target.digest}`),
    Created: config.created ?? never,
    Architecture: config.platform.architecture,
    Variant: config.platform.variant,
    Os: config.platform.os,
    Size: manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size),
    Config: {
      User: user,
      Env: env,
      Entrypoint: entrypoint.length === 0 ? null : entrypoint,
      Cmd: cmd.length === 0 ? null : cmd,
      WorkingDir: workingDir,
      Labels: labels,
      ExposedPorts: asSet(exposedPorts),
      Volumes: asSet(volumes),
      StopSignal: stopSignal,
      ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }),
    },
    RootFS: { Type: "layers", Layers: config.diffIds },
    Descriptor: descriptor,
  };
}
