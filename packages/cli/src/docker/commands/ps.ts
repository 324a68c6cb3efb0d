import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { dateOfTimestamp } from "@hull/api/timestamp";
import { type Container, specOf } from "@hull/client/containers";
import { invalidArgument } from "@hull/errors";
import { nameOf, needArguments, repositoryAndTag } from "../find.ts";
import { ellipsis, formatAgo, formatList } from "../format.ts";
import type { Call } from "../globals.ts";
import { shortId } from "../names.ts";
import { formatPorts, portsOf } from "../network/index.ts";
import { openSession } from "../session.ts";
import { type ContainerState, describeState, notStarted, statesOf } from "../state.ts";

export interface PsFlags {
  readonly all: boolean;
  readonly quiet: boolean;
  readonly "no-trunc": boolean;
  readonly latest: boolean;
  readonly filter: readonly string[];
}

const commandLength = 20;

/** `hull ps` */
export async function ps({ args, flags, globals, host }: Call<PsFlags>): Promise<number> {
  needArguments(args, 0, 0, "");
  const filters = flags.filter.map(parseFilter);
  await using client = await openSession({ globals, host });
  const [{ containers }, states] = await Promise.all([client.service(ContainersDefinition).list({}), statesOf(client)]);
  const stateIn = ({ id }: Container): ContainerState => states.get(id) ?? notStarted;
  const everything = flags.all || flags.latest || filters.some(({ key }) => key === "status");
  const shown = containers
    .filter((container) => everything || ["running", "paused"].includes(stateIn(container).status))
    .filter((container) => filters.every((filter) => matches(filter, container, stateIn(container))))
    .sort((a, b) => createdOf(b) - createdOf(a))
    .slice(0, flags.latest ? 1 : undefined);
  const idOf = ({ id }: Container): string => (flags["no-trunc"] ? id : shortId(id));
  if (flags.quiet) {
    for (const container of shown) await host.out(`${idOf(container)}\n`);
    return 0;
  }
  const rows = shown.map((container) => {
    const command = (specOf(container)?.process.args ?? []).join(" ");
    return [
      idOf(container),
      imageOf(container),
      JSON.stringify(flags["no-trunc"] ? command : ellipsis(command, commandLength)),
      formatAgo(dateOfTimestamp(container.createdAt)),
      describeState(stateIn(container)),
      stateIn(container).status === "running" ? formatPorts(portsOf(container)) : "",
      nameOf(container),
    ];
  });
  await host.out(formatList([["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"], ...rows]));
  return 0;
}

function createdOf({ createdAt }: Container): number {
  return Number(createdAt?.seconds ?? 0n) * 1000 + (createdAt?.nanos ?? 0) / 1e6;
}

function imageOf({ image }: Container): string {
  const { repository, tag } = repositoryAndTag(image);
  return tag === "latest" || tag === "<none>" ? repository : `${repository}:${tag}`;
}

interface Filter {
  readonly key: "id" | "name" | "label" | "status" | "ancestor";
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
      return { key, value };
    default:
      throw invalidArgument(`filter "${text}" is not one of id=, name=, label=, status=, ancestor=`);
  }
}

function matches({ key, value }: Filter, container: Container, { status }: ContainerState): boolean {
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
    case "ancestor": {
      const { repository, tag } = repositoryAndTag(container.image);
      return [container.image, repository, `${repository}:${tag}`].includes(value);
    }
  }
}
