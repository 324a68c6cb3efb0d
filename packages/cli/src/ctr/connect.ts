import { type Client, connect } from "@hull/client/client";
import { deadlineExceeded } from "@hull/errors";
import type { FlagValues } from "../command/index.ts";
import type { globalFlags } from "./globals.ts";

/**
 * Runs `work` with a client of the daemon that the global flags name.
 * @throws DeadlineExceeded when `--timeout` has passed before the work is done; its calls end with the connection
 */
export async function withClient<T>(
  globals: FlagValues<typeof globalFlags>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { timeout, "connect-timeout": connectTimeout } = globals;
  const limits = [timeout, connectTimeout].filter((limit) => limit > 0);
  const client = await connect({
    address: globals.address,
    namespace: globals.namespace,
    timeoutMs: limits.length === 0 ? 0 : Math.min(...limits),
  });
  const late = Promise.withResolvers<never>();
  const expire = (): void => late.reject(deadlineExceeded("context deadline exceeded"));
  const timer = timeout === 0 ? undefined : setTimeout(expire, timeout);
  try {
    return await Promise.race([late.promise, work(client)]);
  } finally {
    clearTimeout(timer);
    await client[Symbol.asyncDispose]();
  }
}
