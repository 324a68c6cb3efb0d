import { constants } from "node:os";
import { forwardSignals } from "@hull/client/io/signals";
import { logPlaceOf } from "@hull/client/logs/place";
import { failedPrecondition } from "@hull/errors";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";
import { runningTask } from "./lifecycle.ts";
import { printLog } from "./logs.ts";

/** Who asks the container to end so many times doesn't want to wait any longer. */
const most = 3;

/**
 * `hull attach`: what a container that runs in the background prints from now on, until it ends; signals go to it. Gives its exit status.
 * Nothing can be typed into it: its input was closed when it began.
 */
export async function attach(call: Call<{ "sig-proxy": boolean; "no-stdin": boolean }>): Promise<number> {
  const { args, flags, given, host } = call;
  needArguments(args, 1, 1, "a container is");
  await using client = await openSession(call);
  const container = await findContainer(client, args[0] ?? "");
  const task = await runningTask(client, container);
  const { stdout } = task.io.paths;
  if (logPlaceOf(container) === undefined || !stdout.startsWith("file://"))
    throw failedPrecondition(
      `container "${nameOf(container)}" is attached to the terminal that runs it: use hull exec for another process in it`,
    );
  const ended = task.wait();
  ended.catch(() => {});
  const proxies = !given.has("sig-proxy") || flags["sig-proxy"];
  const leave = new AbortController();
  let asked = 0;
  using passing = proxies
    ? forwardSignals(async (signal) => {
        // A first process without a handler ignores them, as the kernel has it for pid 1.
        if ((signal === constants.signals.SIGINT || signal === constants.signals.SIGTERM) && ++asked >= most)
          leave.abort();
        else await task.kill(signal);
      })
    : undefined;
  const signal = passing === undefined ? undefined : leave.signal;
  const status = await printLog(client, container, { follow: true, tail: 0, host, signal });
  if (leave.signal.aborted) host.err(`hull: left container "${nameOf(container)}", which goes on\n`);
  return status === 0 ? (await ended).status : status;
}
