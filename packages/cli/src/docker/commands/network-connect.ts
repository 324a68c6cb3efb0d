import { existsSync } from "node:fs";
import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { type Container, specOf } from "@hull/client/containers";
import { attachedNow } from "@hull/client/network/attached";
import {
  type ConnectedNetwork,
  firstInterface,
  labelsOfNetworks,
  networksOf,
  nextInterface,
  requestFor,
  withoutNetwork,
} from "@hull/client/network/connected";
import { attach, detach, type HookRequest, keepWayOut } from "@hull/client/network/hook";
import { ownerOf, resolverMounts, wishedPorts, withNetworkHooks } from "@hull/client/network/index";
import { hostsHead, writeNaming } from "@hull/client/network/names";
import { keyOf, networkNamed, requirePrograms } from "@hull/client/network/networks";
import { alreadyExists, failedPrecondition, internal, invalidArgument, isCode } from "@hull/errors";
import { buildSpec, type Spec, withMounts } from "@hull/oci/spec";
import { clientDirectory } from "../client-directory.ts";
import { findContainer, nameOf, needArguments } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { labelNames } from "../labels.ts";
import { shortId } from "../names.ts";
import { placeNameFiles } from "../network/files.ts";
import { aliasesOf, heldNamespaces } from "../network/flags.ts";
import { openSession } from "../session.ts";
import { stateOf } from "../state.ts";

/** `hull network connect`: at once for a container that runs, and whenever it runs from now on. */
export async function connectNetwork(call: Call<{ alias: readonly string[] }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 2, 2, "a network and a container are");
  const [network = "", key = ""] = args;
  if (network === "host" || network === "none")
    throw invalidArgument(`a container can't be connected to the network "${network}": hull run --network ${network}`);
  requirePrograms(networkNamed(network, host.env), host.env);
  const aliases = aliasesOf({ "network-alias": flags.alias }, network, host.env);
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  const connected = networksOf(container);
  if (container.labels[labelNames.network] === "host")
    throw failedPrecondition(`container "${nameOf(container)}" has the host's network: it can't be on another`);
  if (connected.some(({ name }) => name === network))
    throw alreadyExists(`endpoint with name ${nameOf(container)} already exists in network ${network}`);
  const pid = await pidOf(client, container);
  using undo = new DisposableStack();
  const { spec, naming, files } = await withNames(client, container, { call, running: pid !== undefined, undo });
  const { request, entry } = requestOf(container, { call, network, connected, naming, aliases, client });
  if (pid !== undefined && attachedNow(request.directory, keyOf({ owner: undefined, ...request })) === undefined)
    throw startedWithout(container);
  const changed = buildSpec(spec, withNetworkHooks(request, host.env));
  if (pid !== undefined) await attach({ action: "attach", ...request }, pid, host.env);
  try {
    await record(client, container, changed, {
      ...labelsOfNetworks([...connected, entry]),
      ...(request.owner === undefined ? {} : { [labelNames.owner]: request.owner }),
      ...(files ? { [labelNames.files]: "true" } : {}),
    });
  } catch (error) {
    if (pid !== undefined) await detach({ action: "detach", ...request }, host.env).catch(() => {});
    throw error;
  }
  undo.move();
  return 0;
}

/** `hull network disconnect` */
export async function disconnectNetwork(call: Call<{ force: boolean }>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 2, 2, "a network and a container are");
  const [network = "", key = ""] = args;
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  const connected = networksOf(container);
  const spec = specIn(container);
  const request = requestFor(spec, network);
  if (request === undefined || !connected.some(({ name }) => name === network))
    throw failedPrecondition(`container ${nameOf(container)} is not connected to network ${network}`);
  if ((await pidOf(client, container)) !== undefined) {
    await detach(request, host.env).catch((error: unknown) => {
      // What its plugins made may stay: that is what force is for, e.g. where the network is gone.
      if (!flags.force) throw error;
    });
    keepWayOut(attachedNow(request.directory, keyOf({ owner: undefined, ...request })) ?? [], host.env);
  }
  const others = connected.filter(({ name }) => name !== network);
  await record(client, container, withoutNetwork(spec, network), labelsOfNetworks(others));
  return 0;
}

/** Pid of a container that runs. */
async function pidOf(client: Client, { id }: Container): Promise<number | undefined> {
  const { status, pid } = await stateOf(client, id);
  return status === "running" || status === "paused" ? pid : undefined;
}

function specIn(container: Container): Spec {
  const spec = specOf(container);
  if (spec === undefined) throw internal(`the record of container "${container.id}" has no spec`);
  return spec;
}

function requestOf(
  container: Container,
  {
    call,
    network,
    connected,
    naming,
    aliases,
    client,
  }: {
    call: Call;
    network: string;
    connected: readonly ConnectedNetwork[];
    naming: string;
    aliases: readonly string[];
    client: Client;
  },
): { request: Omit<HookRequest, "action">; entry: ConnectedNetwork } {
  const directory = heldNamespaces(call.globals);
  // A container's networks are all kept by the same key.
  const owner = connected.length === 0 ? ownerOf({ directory }) : container.labels[labelNames.owner];
  const { plugins } = networkNamed(network, call.host.env);
  const publishes = plugins.some(({ capabilities }) => capabilities?.portMappings === true);
  const wished = wishedPorts(container);
  const ports = wished.length > 0 && publishes && !connected.some((each) => each.ports === true);
  const entry = { name: network, interface: nextInterface(connected), ...(ports ? { ports } : {}) };
  const request = {
    network,
    namespace: client.namespace,
    id: container.id,
    ...(owner === undefined ? {} : { owner }),
    ports: ports ? wished : [],
    directory,
    ...(entry.interface === firstInterface ? {} : { interface: entry.interface }),
    naming,
    aliases,
  };
  return { request, entry };
}

/**
 * The container's spec, with the files by which names are found on networks, which containers of the network "none" haven't.
 * @throws FailedPrecondition if they would have to be mounted into one that runs
 */
async function withNames(
  client: Client,
  container: Container,
  { call, running, undo }: { call: Call; running: boolean; undo: DisposableStack },
): Promise<{ spec: Spec; naming: string; files: boolean }> {
  const { id } = container;
  const places = await clientDirectory(client, "containers", placeOf(call.globals).root);
  const directory = join(places, client.namespace, id);
  const naming = join(directory, "names.json");
  const spec = specIn(container);
  const has = (path: string): boolean => spec.mounts.some(({ destination }) => destination === path);
  const named = {
    names: [nameOf(container), shortId(id)],
    hostname: spec.hostname ?? "",
    file: join(directory, "hosts"),
  };
  if (has("/etc/hosts")) {
    if (!existsSync(naming)) writeNaming(naming, named);
    return { spec, naming, files: false };
  }
  if (running) throw startedWithout(container);
  const hosts = placeNameFiles({ hosts: hostsHead }, directory, undo);
  writeNaming(naming, named);
  const mounts = [...hosts, ...(has("/etc/resolv.conf") ? [] : resolverMounts())];
  return { spec: buildSpec(spec, withMounts(mounts)), naming, files: true };
}

/** Nothing of hull's would hear of its end, and it has no file for the names of others. */
const startedWithout = (container: Container): Error =>
  failedPrecondition(
    `container "${nameOf(container)}" was started without a network: stop it, connect it, and start it again`,
  );

async function record(
  client: Client,
  { id }: Container,
  spec: Spec,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  try {
    await client.service(ContainersDefinition).update({
      container: { id, spec: encodeJsonAny(jsonTypes.spec, spec), labels: { ...labels } },
      updateMask: ["spec", ...Object.keys(labels).map((key) => `labels.${key}`)],
    });
  } catch (error) {
    if (isCode(error, "notFound")) throw failedPrecondition(`container ${shortId(id)} was removed meanwhile`);
    throw error;
  }
}
