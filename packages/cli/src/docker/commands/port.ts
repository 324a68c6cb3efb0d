import { portsOf } from "@hull/client/network/index";
import { notFound } from "@hull/errors";
import { findContainer, nameOf, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { openSession } from "../session.ts";
import { runningTask } from "./lifecycle.ts";

/** `hull port CONTAINER [PORT[/PROTOCOL]]` */
export async function port(call: Call): Promise<number> {
  needArguments(call.args, 1, 2, "a container is");
  const [key = "", wanted] = call.args;
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  await runningTask(client, container);
  const full = wanted === undefined || wanted.includes("/") ? wanted : `${wanted}/tcp`;
  const ports = portsOf(container).filter(
    ({ containerPort, protocol }) => full === undefined || full === `${containerPort}/${protocol}`,
  );
  if (ports.length === 0 && wanted !== undefined)
    throw notFound(`port "${full}" of container "${nameOf(container)}" is not published`);
  for (const { containerPort, protocol, hostIP = "0.0.0.0", hostPort } of ports) {
    const host = `${hostIP.includes(":") ? `[${hostIP}]` : hostIP}:${hostPort}`;
    await call.host.out(wanted === undefined ? `${containerPort}/${protocol} -> ${host}\n` : `${host}\n`);
  }
  return 0;
}
