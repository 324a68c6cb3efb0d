import type { Container, ContainerStatus } from "@hull/api/gen/cri/v1/cri";
import { invalidArgument } from "@hull/errors";
import { needArguments, repositoryAndTag } from "../find.ts";
import { formatAgo } from "../format.ts";
import type { Call } from "../globals.ts";
import { type Column, printRows, type Row } from "../listing.ts";
import { shortId } from "../names.ts";
import { ifThere, listPods, type PodView, podStatus, stateOfStatus, statusOfContainer, statusOfPod } from "../pods.ts";
import { openSession } from "../session.ts";
import { describeState } from "../state.ts";
import type { PsFlags } from "./ps.ts";

export interface PodsFlags {
  readonly quiet: boolean;
  readonly "no-trunc": boolean;
  readonly format: string | undefined;
  readonly filter: readonly string[];
}

const podColumns: readonly Column[] = [
  ["POD ID", "ID"],
  ["NAMESPACE", "Namespace"],
  ["NAME", "Name"],
  ["STATUS", "Status"],
  ["CREATED", "RunningFor"],
  ["CONTAINERS", "Containers"],
  ["IP", "IP"],
];

const containerColumns: readonly Column[] = [
  ["CONTAINER ID", "ID"],
  ["IMAGE", "Image"],
  ["CREATED", "RunningFor"],
  ["STATUS", "Status"],
  ["NAMESPACE", "Namespace"],
  ["POD", "Pod"],
  ["NAME", "Names"],
];

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

const dateOf = (nanoseconds: bigint): Date => new Date(Number(nanoseconds / 1_000_000n));

/** `hull pods` */
export async function pods(call: Call<PodsFlags>): Promise<number> {
  const { args, flags, host } = call;
  needArguments(args, 0, 0, "");
  const filters = flags.filter.map(parsePodFilter);
  await using client = await openSession(call);
  const found = (await listPods(client)).filter((view) => filters.every((matches) => matches(view)));
  const idOf = ({ pod }: PodView): string => (flags["no-trunc"] ? pod.id : shortId(pod.id));
  if (flags.quiet) {
    await host.out(found.map((view) => `${idOf(view)}\n`).join(""));
    return 0;
  }
  const rows = await Promise.all(
    found.map(async (view): Promise<Row> => {
      const { pod, containers } = view;
      const status = await ifThere(statusOfPod(client, pod.id));
      const running = containers.filter(({ state }) => state === 1).length;
      return {
        ID: idOf(view),
        Namespace: pod.metadata?.namespace ?? "",
        Name: pod.metadata?.name ?? "",
        Uid: pod.metadata?.uid ?? "",
        Attempt: String(pod.metadata?.attempt ?? 0),
        Status: podStatus(pod) === "ready" ? "Ready" : "NotReady",
        RunningFor: formatAgo(dateOf(pod.createdAt)),
        Containers: `${running}/${containers.length}`,
        IP: [status?.network?.ip ?? "", ...(status?.network?.additionalIps ?? []).map(({ ip }) => ip)]
          .filter((ip) => ip !== "")
          .join(","),
        RuntimeHandler: pod.runtimeHandler,
        Labels: labelsOf(pod.labels),
      };
    }),
  );
  await printRows(host, rows, { format: flags.format, columns: podColumns });
  return 0;
}

/** `hull ps --pods` */
export async function podContainers(call: Call<PsFlags>): Promise<number> {
  const { flags, host } = call;
  const filters = flags.filter.map(parseContainerFilter);
  await using client = await openSession(call);
  const most = flags.latest ? 1 : flags.last;
  const everything = flags.all || most !== undefined || flags.filter.some((text) => text.startsWith("status="));
  const views = await listPods(client);
  const listed = views.flatMap((view) => view.containers.map((container) => ({ view, container })));
  const seen = await Promise.all(
    listed.map(async ({ view, container }): Promise<Seen[]> => {
      const status = await ifThere(statusOfContainer(client, container.id));
      return status === undefined ? [] : [{ view, container, status }];
    }),
  );
  const shown = seen
    .flat()
    .filter(({ status }) => everything || stateOfStatus(status).status === "running")
    .filter((each) => filters.every((matches) => matches(each)))
    .sort((a, b) => Number(b.container.createdAt - a.container.createdAt))
    .slice(0, most);
  const idOf = ({ container }: Seen): string => (flags["no-trunc"] ? container.id : shortId(container.id));
  if (flags.quiet) {
    await host.out(shown.map((each) => `${idOf(each)}\n`).join(""));
    return 0;
  }
  const rows = shown.map((each): Row => {
    const { view, container, status } = each;
    const { repository, tag } = repositoryAndTag(status.image?.image ?? "");
    return {
      ID: idOf(each),
      Image: tag === "latest" || tag === "<none>" ? repository : `${repository}:${tag}`,
      RunningFor: formatAgo(dateOf(container.createdAt)),
      Status: describeState(stateOfStatus(status)),
      State: stateOfStatus(status).status,
      Names: container.metadata?.name ?? "",
      Attempt: String(container.metadata?.attempt ?? 0),
      Pod: view.pod.metadata?.name ?? "",
      Namespace: view.pod.metadata?.namespace ?? "",
      PodID: flags["no-trunc"] ? view.pod.id : shortId(view.pod.id),
      Labels: labelsOf(container.labels),
    };
  });
  await printRows(host, rows, { format: flags.format, columns: containerColumns });
  return 0;
}

interface Seen {
  readonly view: PodView;
  readonly container: Container;
  readonly status: ContainerStatus;
}

function parsePodFilter(text: string): (view: PodView) => boolean {
  const { key, value } = parts(text);
  switch (key) {
    case "id":
      return ({ pod }) => pod.id.startsWith(value);
    case "name":
      return ({ pod }) => (pod.metadata?.name ?? "").includes(value);
    case "namespace":
      return ({ pod }) => pod.metadata?.namespace === value;
    case "label":
      return ({ pod }) => hasLabel(pod.labels, value);
    case "status":
      return ({ pod }) => podStatus(pod) === value.toLowerCase();
    default:
      throw invalidArgument(`filter "${text}" is not one of id=, name=, namespace=, label=, status=`);
  }
}

function parseContainerFilter(text: string): (seen: Seen) => boolean {
  const { key, value } = parts(text);
  switch (key) {
    case "id":
      return ({ container }) => container.id.startsWith(value);
    case "name":
      return ({ container }) => (container.metadata?.name ?? "").includes(value);
    case "label":
      return ({ container }) => hasLabel(container.labels, value);
    case "status":
      return ({ status }) => stateOfStatus(status).status === value;
    case "namespace":
      return ({ view }) => view.pod.metadata?.namespace === value;
    case "pod":
      return ({ view: { pod } }) => pod.metadata?.name === value || (value !== "" && pod.id.startsWith(value));
    default:
      throw invalidArgument(
        `filter "${text}" is not one of id=, name=, label=, status=, namespace=, pod=, which containers of pods have`,
      );
  }
}

function parts(text: string): { key: string; value: string } {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  return { key, value };
}

/** `name` or `name=value` */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [name = "", ...rest] = wanted.split("=");
  return Object.hasOwn(labels, name) && (rest.length === 0 || labels[name] === rest.join("="));
}
