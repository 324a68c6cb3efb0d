import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { nanosOfTimestamp, rfc3339OfNanos } from "@hull/api/timestamp";
import { formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { deprecationsList } from "./flags.ts";
import { goJson } from "./go-json.ts";

export const listDeprecations: CtrAction<typeof deprecationsList> = ({ flags, globals, host }) => {
  const format = flags.format ?? "";
  if (format !== "" && format !== "default" && format !== "json")
    throw new CtrError(`unknown output format "${format}"`);
  return withClient(globals, async (client) => {
    const { deprecations } = await client.service(IntrospectionDefinition).server({});
    if (deprecations.length === 0) return 0;
    const rows = deprecations.map(({ id, message, lastOccurrence }) => ({
      id,
      message,
      lastOccurrence: rfc3339OfNanos(nanosOfTimestamp(lastOccurrence) ?? 0n),
    }));
    if (format === "json") await host.out(`${goJson(rows, "    ")}\n`);
    else {
      const lines = rows.map(({ id, message, lastOccurrence }) => [id, lastOccurrence, message]);
      await host.out(formatTable([["ID", "LAST OCCURRENCE", "MESSAGE"], ...lines]));
    }
    return 0;
  });
};
