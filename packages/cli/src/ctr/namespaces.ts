import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { HullError } from "@hull/errors";
import { cgroupAt, removeCgroup } from "@hull/sys/cgroup";
import { formatTable } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { namespacesList, namespacesRemove } from "./flags.ts";
import { formatLabels, parseLabels } from "./labels.ts";

export const createNamespace: CtrAction = async ({ args: [name, ...labels], globals }) => {
  if (name === undefined || name === "") throw new CtrError("please specify a namespace");
  return await withClient(globals, async (client) => {
    await client.service(NamespacesDefinition).create({ namespace: { name, labels: parseLabels(labels) } });
    return 0;
  });
};

export const listNamespaces: CtrAction<typeof namespacesList> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const { namespaces } = await client.service(NamespacesDefinition).list({ filter: "" });
    if (flags.quiet) await host.out(namespaces.map(({ name }) => `${name}\n`).join(""));
    else {
      const rows = namespaces.map(({ name, labels }) => [name, formatLabels(labels)]);
      await host.out(formatTable([["NAME", "LABELS"], ...rows]));
    }
    return 0;
  });

export const labelNamespace: CtrAction = async ({ args: [name, ...texts], globals }) => {
  if (name === undefined || name === "") throw new CtrError("please specify a namespace");
  return await withClient(globals, async (client) => {
    const labels = parseLabels(texts);
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    await client.service(NamespacesDefinition).update({ namespace: { name, labels }, updateMask: paths });
    return 0;
  });
};

export const removeNamespaces: CtrAction<typeof namespacesRemove> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    let failed: unknown;
    for (const name of args) {
      try {
        if (flags.cgroup) removeCgroup(cgroupAt(`/${name}`));
        await client.service(NamespacesDefinition).delete({ name });
        await host.out(`${name}\n`);
      } catch (error) {
        const known = HullError.from(error);
        if (known.code === "notFound") continue;
        failed ??= error;
        host.err(`unable to delete ${name}: ${withClass(known)}\n`);
      }
    }
    if (failed !== undefined) throw failed;
    return 0;
  });
