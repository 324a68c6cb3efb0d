import { spawnSync } from "node:child_process";
import { TasksDefinition } from "@hull/api/gen/containerd/services/tasks/v1/tasks";
import { failedPrecondition, invalidArgument } from "@hull/errors";
import { findContainer } from "../find.ts";
import { formatList } from "../format.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";
import { runningTask } from "./lifecycle.ts";

/** `hull top CONTAINER [PS OPTION…]`: the processes of a container, as the host's ps(1) sees them. */
export async function top(call: Call): Promise<number> {
  const [key, ...given] = call.args;
  const options = given.length === 0 ? ["-ef"] : given;
  if (key === undefined) throw invalidArgument("a container is needed; see --help");
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  await runningTask(client, container);
  const { processes } = await client.service(TasksDefinition).listPids({ containerId: container.id });
  const pids = new Set(processes.map(({ pid }) => pid));
  const { status, stdout, stderr, error } = spawnSync("ps", options, { encoding: "utf8" });
  if (error !== undefined) throw failedPrecondition("ps(1) is not there: install procps", { cause: error });
  if (status !== 0) throw invalidArgument(`ps ${options.join(" ")}: ${stderr.trim()}`);
  const [heading = "", ...lines] = stdout.trimEnd().split("\n");
  const names = heading.trim().split(/\s+/);
  const place = names.indexOf("PID");
  if (place < 0)
    throw invalidArgument(`ps ${options.join(" ")} shows no column PID, which tells the container's processes`);
  const rows = lines
    .map((line) => {
      const cells = line.trim().split(/\s+/);
      // The last column is the command, which has blanks of its own.
      return [...cells.slice(0, names.length - 1), cells.slice(names.length - 1).join(" ")];
    })
    .filter((cells) => pids.has(Number(cells[place])));
  await call.host.out(formatList([names, ...rows]));
  return 0;
}
