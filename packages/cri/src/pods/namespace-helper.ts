/**
 * `hull namespaces`: a process that makes and takes down pods' namespaces for a daemon, one after the other.
 *
 *   a line of JSON on the input ──► the same as in the daemon ──► a line of JSON on the output
 *
 * It ends with its input, and with its daemon: nobody makes anything for one that is gone.
 */

import { writeSync } from "node:fs";
import { HullError } from "@hull/errors";
import { setNonBlocking } from "@hull/sys/fd";
import { setParentDeathSignal, setProcessName } from "@hull/sys/process";
import { linesOf, readStream } from "@hull/sys/stream";
import type { PodNamespaces } from "../model.ts";
import { createPodNamespaces, type NamespacePlan, releasePodNamespaces } from "./namespaces.ts";

/** What a line on the input holds. */
export type NamespaceRequest = { readonly create: NamespacePlan } | { readonly release: PodNamespaces };

/** What a line on the output holds; without an error it is done. */
export interface NamespaceAnswer {
  readonly error?: Pick<HullError, "code" | "message">;
}

const SIGKILL = 9;

/** Serves until the input ends. Gives the exit status. */
export async function namespaceHelperMain(): Promise<number> {
  setParentDeathSignal(SIGKILL);
  setProcessName("hull-namespaces");
  setNonBlocking(0, true);
  for await (const line of linesOf(readStream(0))) {
    const answer = await answerTo(JSON.parse(line) as NamespaceRequest);
    writeSync(1, `${JSON.stringify(answer)}\n`);
  }
  return 0;
}

/** Does what is asked. Throws nothing: what fails is in the answer. */
async function answerTo(request: NamespaceRequest): Promise<NamespaceAnswer> {
  try {
    await doRequest(request);
    return {};
  } catch (error) {
    const { code, message } = HullError.from(error);
    return { error: { code, message } };
  }
}

/** The same in this process. @throws what making or taking down namespaces throws */
export async function doRequest(request: NamespaceRequest): Promise<void> {
  if ("create" in request) await createPodNamespaces(request.create);
  else releasePodNamespaces(request.release);
}
