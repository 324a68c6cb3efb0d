/** Connections to shims, and the Task service over them. */

import { TaskDefinition } from "@hull/api/gen/containerd/task/v3/task";
import { ttrpcMetadata } from "@hull/api/metadata";
import type { ServiceClient } from "@hull/api/rpc";
import { unimplemented } from "@hull/errors";
import { connectTtrpc, type TtrpcConnection, ttrpcClient } from "@hull/ttrpc/client";
import type { Bootstrap } from "./bundle.ts";

/** The Task service; version 2 differs in its name alone. */
export type TaskClient = ServiceClient<typeof TaskDefinition>;

const taskDefinitionV2 = { ...TaskDefinition, fullName: "containerd.task.v2.Task" } as const;

/** A shim that answers. */
export interface ShimConnection {
  readonly bootstrap: Bootstrap;
  readonly connection: TtrpcConnection;
}

/** Connects to a shim. @throws Unimplemented for a protocol other than ttrpc; Unavailable if it doesn't answer */
export async function connectShim(bootstrap: Bootstrap): Promise<ShimConnection> {
  const { protocol, version, address } = bootstrap;
  if (protocol !== "ttrpc") throw unimplemented(`shim at "${address}" speaks "${protocol}": only ttrpc is supported`);
  if (version > 3)
    throw unimplemented(`shim at "${address}" wants version ${version} of the protocol: up to 3 is supported`);
  return { bootstrap, connection: await connectTtrpc(address) };
}

/** The Task service of a shim, in the version that it said. */
export function taskClient({ bootstrap, connection }: ShimConnection, namespace: string): TaskClient {
  const definition = bootstrap.version >= 3 ? TaskDefinition : taskDefinitionV2;
  return ttrpcClient(definition, connection, { metadata: ttrpcMetadata(namespace) }) as TaskClient;
}
