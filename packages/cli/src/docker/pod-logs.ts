import type { Client } from "@hull/client/client";
import { failedPrecondition, notFound } from "@hull/errors";
import type { Host } from "../command/index.ts";
import { endOf, type LogSource } from "./commands/logs.ts";
import { findPod, ifThere, type PodView, podName, statusOfContainer } from "./pods.ts";

/** Takes the form of the CRI's log files off: `<time> <stdout|stderr> <tags> <text>`, a first tag `P` for a line without its end. */
export class PodLogText {
  /** What came behind the last line's end, latin1. */
  #rest = "";

  /** @returns what the container wrote, by output */
  take(bytes: Uint8Array): Record<"stdout" | "stderr", string> {
    const text = this.#rest + Buffer.from(bytes).toString("latin1");
    const end = text.lastIndexOf("\n") + 1;
    this.#rest = text.slice(end);
    const found = { stdout: "", stderr: "" };
    for (const line of end === 0 ? [] : text.slice(0, end - 1).split("\n")) {
      const [, output, tag, written] = /^\S+ (stdout|stderr) (\S+) (.*)$/s.exec(line) ?? [];
      if (output === "stdout" || output === "stderr") found[output] += tag?.startsWith("P") ? written : `${written}\n`;
    }
    return found;
  }
}

/**
 * The log of a container of a pod, by `<pod>/<container>` or `<namespace>/<pod>/<container>`; without the container that of a pod's only one.
 * @throws NotFound; FailedPrecondition if it is not clear which is meant
 */
export async function podLog(client: Client, key: string, host: Host): Promise<LogSource> {
  const { pod, container } = await find(client, key);
  const { logPath } = await statusOfContainer(client, container.id);
  const text = new PodLogText();
  return {
    name: `${podName(pod)}/${container.metadata?.name}`,
    file: logPath === "" ? undefined : logPath,
    // The kubelet renames it; those from before are its own affair.
    older: () => [],
    ended: () => endOf(client, container),
    async print(bytes) {
      const { stdout, stderr } = text.take(bytes);
      if (stderr !== "") host.err(Buffer.from(stderr, "latin1").toString());
      if (stdout !== "") await host.out(Buffer.from(stdout, "latin1"));
    },
  };
}

async function find(
  client: Client,
  key: string,
): Promise<{ pod: PodView["pod"]; container: PodView["containers"][number] }> {
  const slash = key.lastIndexOf("/");
  const name = key.slice(slash + 1);
  // "a/b" is a namespace and a pod, or a pod and its container.
  const view = await ifThere(findPod(client, key));
  const { pod, containers } = view ?? (await findPod(client, key.slice(0, slash)));
  const named = view === undefined ? containers.filter(({ metadata }) => metadata?.name === name) : containers;
  const [newest] = named.toSorted((a, b) => Number(b.createdAt - a.createdAt));
  const names = [...new Set(containers.map(({ metadata }) => metadata?.name ?? ""))];
  if (newest === undefined)
    throw notFound(`pod "${podName(pod)}" has no container "${name}": it has ${names.join(", ") || "none"}`);
  if (view !== undefined && names.length > 1)
    throw failedPrecondition(
      `pod "${podName(pod)}" has several containers: say one of ${names.map((each) => `${podName(pod)}/${each}`).join(", ")}`,
    );
  return { pod, container: newest };
}
