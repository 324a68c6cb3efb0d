import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { SqlNamespaceStore } from "./store.ts";

export const namespacesPlugin = definePlugin({
  type: pluginTypes.service,
  id: "namespaces-service",
  requires: storeRequires,
  start: (init) => new SqlNamespaceStore(storeOptions(init)),
});
