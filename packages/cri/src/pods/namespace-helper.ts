/**
 * `hull namespaces`: a process that makes and takes down pods' namespaces for a daemon, one after the other, and runs the plugins of their
 * networks.
 *
 *   a line of JSON on the input ──► the same as in the daemon ──► a line of JSON on the output
 *
 * It ends with its input, and with its daemon: nobody makes anything for one that is gone.
 */

import { writeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { type PluginEnd, type PluginRun, runPlugin } from "@hull/cni";
import { HullError } from "@hull/errors";
import { setNonBlocking } from "@hull/sys/fd";
import { setParentDeathSignal, setProcessName } from "@hull/sys/process";
import { linesOf, readStream } from "@hull/sys/stream";
import type { PodNamespaces } from "../model.ts";
import { createPodNamespaces, type NamespacePlan, releasePodNamespaces } from "./namespaces.ts";

/** What is asked of namespaces. */
export type NamespaceRequest = { readonly create: NamespacePlan } | { readonly release: PodNamespaces };

/** What a line on the input holds beside its `id`. `abort` ends the plugin that was started by the line of the same id. */
export type HelperRequest = NamespaceRequest | { readonly run: Omit<PluginRun, "signal"> } | { readonly abort: true };

/** What a line on the output holds beside the `id` of what it answers; without an error it is done. */
export interface HelperAnswer {
  readonly ended?: PluginEnd;
  readonly error?: Pick<HullError, "code" | "message">;
}

const SIGKILL = 9;

/** Serves until the input ends, and what was begun has ended. Gives the exit status. */
export async function namespaceHelperMain(): Promise<number> {
  setParentDeathSignal(SIGKILL);
  setProcessName("hull-namespaces");
  setNonBlocking(0, true);
  const plugins = new Map<number, { readonly abort: () => void; readonly told: Promise<void> }>();
  const tell = (id: number, answer: HelperAnswer): void => void writeSync(1, `${JSON.stringify({ id, ...answer })}\n`);
  for await (const line of linesOf(readStream(0))) {
    const { id, ...request } = JSON.parse(line) as HelperRequest & { readonly id: number };
    if ("abort" in request) {
      plugins.get(id)?.abort();
    } else if ("run" in request) {
      const controller = new AbortController();
      const told = answerTo(() => runPlugin({ ...request.run, signal: controller.signal })).then((answer) => {
        plugins.delete(id);
        tell(id, answer);
      });
      plugins.set(id, { abort: () => controller.abort(), told });
    } else {
      tell(id, await answerTo(() => doRequest(request)));
      // Plugins that are to start, or have ended, have their turn between two.
      await setImmediate();
    }
  }
  await Promise.all([...plugins.values()].map(({ told }) => told));
  return 0;
}

/** Does what is asked. Throws nothing: what fails is in the answer. */
async function answerTo(work: () => Promise<PluginEnd | undefined>): Promise<HelperAnswer> {
  try {
    const ended = await work();
    return ended === undefined ? {} : { ended };
  } catch (error) {
    const { code, message } = HullError.from(error);
    return { error: { code, message } };
  }
}

/** The same in this process. @throws what making or taking down namespaces throws */
export async function doRequest(request: NamespaceRequest): Promise<undefined> {
  if ("create" in request) await createPodNamespaces(request.create);
  else releasePodNamespaces(request.release);
}
