import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { dateOfTimestamp } from "@hull/api/timestamp";
import { type Container, specOf } from "@hull/client/containers";
import { networksOf } from "@hull/client/network/connected";
import { formatPorts, portsOf } from "@hull/client/network/index";
import { invalidArgument } from "@hull/errors";
import { nameOf, needArguments, repositoryAndTag } from "../find.ts";
import { ellipsis, formatAgo } from "../format.ts";
import type { Call } from "../globals.ts";
import { healthOf, healthSuffix } from "../health.ts";
import { commandOf } from "../init.ts";
import { labelNames, userLabels } from "../labels.ts";
import { type Column, printRows, type Row } from "../listing.ts";
import { shortId } from "../names.ts";
import { openSession } from "../session.ts";
import { type ContainerState, describeState, notStarted, statesOf } from "../state.ts";
import { mountsGiven } from "../volumes/given.ts";

export interface PsFlags {
  readonly all: boolean;
  readonly quiet: boolean;
  readonly "no-trunc": boolean;
  readonly latest: boolean;
  readonly last: number | undefined;
  readonly format: string | undefined;
  readonly filter: readonly string[];
  readonly pods: boolean;
}

const commandLength = 20;

const columns: readonly Column[] = [
  ["CONTAINER ID", "ID"],
  ["IMAGE", "Image"],
  ["COMMAND", "Command"],
  ["CREATED", "RunningFor"],
  ["STATUS", "Status"],
  ["PORTS", "Ports"],
  ["NAMES", "Names"],
];

/** `hull ps` */
export async function ps(call: Call<PsFlags>): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 0, 0, "");
  if (flags.pods) return (await import("./pods.ts")).podContainers(call);
  const filters = flags.filter.map(parseFilter);
  await using client = await openSession({ globals, host });
  const [{ containers }, states] = await Promise.all([client.service(ContainersDefinition).list({}), statesOf(client)]);
  const stateIn = ({ id }: Container): ContainerState => states.get(id) ?? notStarted;
  const most = flags.latest ? 1 : flags.last;
  const everything = flags.all || most !== undefined || filters.some(({ key }) => key === "status" || key === "exited");
  const shown = containers
    .filter((container) => everything || ["running", "paused"].includes(stateIn(container).status))
    .filter((container) => filters.every((filter) => matches(filter, container, stateIn(container))))
    .sort((a, b) => createdOf(b) - createdOf(a))
    .slice(0, most);
  const idOf = ({ id }: Container): string => (flags["no-trunc"] ? id : shortId(id));
  if (flags.quiet) {
    for (const container of shown) await host.out(`${idOf(container)}\n`);
    return 0;
  }
  const rows = shown.map((container): Row => {
    const command = commandOf(specOf(container)).join(" ");
    const state = stateIn(container);
    const created = dateOfTimestamp(container.createdAt);
    return {
      ID: idOf(container),
      Image: imageOf(container),
      Command: JSON.stringify(flags["no-trunc"] ? command : ellipsis(command, commandLength)),
      CreatedAt: created === undefined ? "" : `${created.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`,
      RunningFor: formatAgo(created),
      Status: `${describeState(state)}${state.status === "running" ? healthSuffix(container) : ""}`,
      State: state.status,
      Ports: state.status === "running" ? formatPorts(portsOf(container)) : "",
      Names: nameOf(container),
      Labels: Object.entries(userLabels(container.labels))
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      Networks: networkNames(container).join(","),
      Mounts: mountsGiven(container)
        .map(({ source = "" }) => source)
        .join(","),
    };
  });
  await printRows(host, rows, { format: flags.format, columns });
  return 0;
}

/** The networks that it is on, or "none" or "host". */
function networkNames(container: Container): string[] {
  const names = networksOf(container).map(({ name }) => name);
  return names.length > 0 ? names : [container.labels[labelNames.network] ?? "none"];
}

function createdOf({ createdAt }: Container): number {
  return Number(createdAt?.seconds ?? 0n) * 1000 + (createdAt?.nanos ?? 0) / 1e6;
}

function imageOf({ image }: Container): string {
  const { repository, tag } = repositoryAndTag(image);
  return tag === "latest" || tag === "<none>" ? repository : `${repository}:${tag}`;
}

interface Filter {
  readonly key: "id" | "name" | "label" | "status" | "ancestor" | "exited" | "network" | "publish" | "health";
  readonly value: string;
}

function parseFilter(text: string): Filter {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  switch (key) {
    case "id":
    case "name":
    case "label":
    case "status":
    case "ancestor":
    case "exited":
    case "network":
    case "publish":
    case "health":
      return { key, value };
    default:
      throw invalidArgument(
        `filter "${text}" is not one of id=, name=, label=, status=, ancestor=, exited=, network=, publish=, health=`,
      );
  }
}

function matches({ key, value }: Filter, container: Container, { status, exitCode }: ContainerState): boolean {
  switch (key) {
    case "id":
      return container.id.startsWith(value);
    case "name":
      return nameOf(container).includes(value);
    case "label": {
      const [name = "", wanted] = [value.split("=", 1)[0], /=(.*)$/s.exec(value)?.[1]];
      const label = container.labels[name];
      return label !== undefined && (wanted === undefined || label === wanted);
    }
    case "status":
      return status === value;
    case "health":
      return healthOf(container) === value;
    case "exited":
      return status === "exited" && exitCode === Number(value);
    case "network":
      return networkNames(container).includes(value);
    case "publish":
      return portsOf(container).some(({ hostPort }) => hostPort === Number(value.split("/")[0]));
    case "ancestor": {
      const { repository, tag } = repositoryAndTag(container.image);
      return [container.image, repository, `${repository}:${tag}`].includes(value);
    }
  }
}
