import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { Metrics as Metrics1 } from "@hull/api/gen/cgroups/v1/metrics";
import { Metrics as Metrics2 } from "@hull/api/gen/cgroups/v2/metrics";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { nowNanos } from "@hull/api/timestamp";
import { decodeAny, isType } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import type { Container } from "@hull/client/containers";
import { findContainer, nameOf } from "../find.ts";
import { formatSize } from "../format.ts";
import type { Call } from "../globals.ts";
import { type Column, printRows, type Row } from "../listing.ts";
import { shortId } from "../names.ts";
import { openSession } from "../session.ts";
import { statesOf } from "../state.ts";

export interface StatsFlags {
  readonly all: boolean;
  readonly "no-stream": boolean;
  readonly "no-trunc": boolean;
  readonly format: string | undefined;
}

const columns: readonly Column[] = [
  ["CONTAINER ID", "ID"],
  ["NAME", "Name"],
  ["CPU %", "CPUPerc"],
  ["MEM USAGE / LIMIT", "MemUsage"],
  ["MEM %", "MemPerc"],
  ["NET I/O", "NetIO"],
  ["BLOCK I/O", "BlockIO"],
  ["PIDS", "PIDs"],
];

/** One look at a container. Times in ns, sizes in bytes. */
interface Sample {
  readonly at: bigint;
  readonly cpu: bigint;
  readonly memory: number;
  readonly limit: number;
  readonly read: number;
  readonly written: number;
  readonly pids: number;
}

/** Milliseconds between two looks, as docker has it. */
const interval = 1000;

/** `hull stats`: prints what containers use, again every second until it is interrupted. */
export async function stats(call: Call<StatsFlags>): Promise<number> {
  const { args, flags, host } = call;
  await using client = await openSession(call);
  const named = args.length === 0 ? undefined : await Promise.all(args.map((key) => findContainer(client, key)));
  const before = new Map<string, Sample>();
  // Their use of the processor is told by two looks.
  await look(client, await shown(client, named, flags.all), before);
  const stop = Promise.withResolvers<void>();
  const end = (): void => stop.resolve();
  process.once("SIGINT", end);
  let stopped = false;
  void stop.promise.then(() => {
    stopped = true;
  });
  try {
    for (;;) {
      const timer = Promise.withResolvers<void>();
      const handle = setTimeout(timer.resolve, interval);
      await Promise.race([timer.promise, stop.promise]);
      clearTimeout(handle);
      if (stopped) return 0;
      const rows = await look(client, await shown(client, named, flags.all), before, flags["no-trunc"]);
      if (!flags["no-stream"] && flags.format === undefined && process.stdout.isTTY) await host.out("\x1b[2J\x1b[H");
      await printRows(host, rows, { format: flags.format, columns });
      if (flags["no-stream"]) return 0;
    }
  } finally {
    process.off("SIGINT", end);
  }
}

async function shown(client: Client, named: Container[] | undefined, all: boolean): Promise<Container[]> {
  if (named !== undefined) return named;
  const [{ containers }, states] = await Promise.all([client.service(ContainersDefinition).list({}), statesOf(client)]);
  const running = ({ id }: Container): boolean => ["running", "paused"].includes(states.get(id)?.status ?? "");
  return containers.filter((container) => all || running(container));
}

/** Looks at all containers at once, and keeps what was seen for the next time. */
async function look(
  client: Client,
  containers: readonly Container[],
  before: Map<string, Sample>,
  whole = false,
): Promise<Row[]> {
  const wanted = new Map(containers.map((container) => [container.id, container]));
  const [{ metrics }, states] = await Promise.all([
    client.service(TasksDefinition).metrics({ filters: [] }),
    statesOf(client),
  ]);
  const seen = new Map(
    metrics.flatMap(({ id, data }) => (data === undefined || !wanted.has(id) ? [] : [[id, sampleOf(data)] as const])),
  );
  return containers.map((container): Row => {
    const { id } = container;
    const now = seen.get(id);
    const last = before.get(id);
    const identity = { ID: whole ? id : shortId(id), Container: id, Name: nameOf(container) };
    if (now === undefined)
      return {
        ...identity,
        CPUPerc: "0.00%",
        MemUsage: "0B / 0B",
        MemPerc: "0.00%",
        NetIO: "0B / 0B",
        BlockIO: "0B / 0B",
        PIDs: "0",
      };
    before.set(id, now);
    const network = networkOf(states.get(id)?.pid ?? 0);
    return {
      ...identity,
      CPUPerc: percent(last === undefined ? 0 : Number(now.cpu - last.cpu) / Number(now.at - last.at)),
      MemUsage: `${binarySize(now.memory)} / ${binarySize(now.limit)}`,
      MemPerc: percent(now.limit === 0 ? 0 : now.memory / now.limit),
      NetIO: `${formatSize(network.received)} / ${formatSize(network.sent)}`,
      BlockIO: `${formatSize(now.read)} / ${formatSize(now.written)}`,
      PIDs: String(now.pids),
    };
  });
}

const percent = (share: number): string => `${(Math.min(share, availableParallelism()) * 100).toFixed(2)}%`;

/** A size in binary units with four digits, as docker's stats have it: `1.5MiB`. */
function binarySize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

function sampleOf(data: Any): Sample {
  const at = nowNanos();
  const limited = (limit: bigint | undefined): number => Math.min(Number(limit ?? 0n) || totalmem(), totalmem());
  if (isType(data, "io.containerd.cgroups.v2.Metrics")) {
    const { cpu, memory, io, pids } = decodeAny(data, "io.containerd.cgroups.v2.Metrics", Metrics2);
    const sum = (field: "rbytes" | "wbytes"): number =>
      (io?.usage ?? []).reduce((all, each) => all + Number(each[field]), 0);
    return {
      at,
      cpu: (cpu?.usageUsec ?? 0n) * 1000n,
      memory: Number((memory?.usage ?? 0n) - (memory?.inactiveFile ?? 0n)),
      limit: limited(memory?.usageLimit),
      read: sum("rbytes"),
      written: sum("wbytes"),
      pids: Number(pids?.current ?? 0n),
    };
  }
  const { cpu, memory, blkio, pids } = decodeAny(data, "io.containerd.cgroups.v1.Metrics", Metrics1);
  const sum = (op: string): number =>
    (blkio?.ioServiceBytesRecursive ?? [])
      .filter((entry) => entry.op.toLowerCase() === op)
      .reduce((all, { value }) => all + Number(value), 0);
  return {
    at,
    cpu: cpu?.usage?.total ?? 0n,
    memory: Number((memory?.usage?.usage ?? 0n) - (memory?.totalInactiveFile ?? 0n)),
    limit: limited(memory?.usage?.limit),
    read: sum("read"),
    written: sum("write"),
    pids: Number(pids?.current ?? 0n),
  };
}

/** Bytes through all interfaces of a process's network but the loopback: proc_pid_net(5), "dev". */
function networkOf(pid: number): { received: number; sent: number } {
  let received = 0;
  let sent = 0;
  try {
    for (const line of readFileSync(`/proc/${pid}/net/dev`, "utf8").split("\n").slice(2)) {
      const [, name, numbers = ""] = /^\s*([^:]+):\s*(.*)$/.exec(line) ?? [];
      if (name === undefined || name === "lo") continue;
      const fields = numbers.split(/\s+/).map(Number);
      received += fields[0] ?? 0;
      sent += fields[8] ?? 0;
    }
  } catch {
    // It has ended meanwhile.
  }
  return { received, sent };
}
