import { type Client, connect } from "@hull/client/client";
import type { FlagValues } from "../command/index.ts";
import type { globalFlags } from "./globals.ts";

/** Runs `work` with a client of the daemon that the global flags name. */
export async function withClient<T>(
  globals: FlagValues<typeof globalFlags>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  await using client = await connect({
    address: globals.address,
    namespace: globals.namespace,
    timeoutMs: globals["connect-timeout"],
  });
  return await work(client);
}
