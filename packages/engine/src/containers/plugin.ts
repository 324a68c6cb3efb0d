import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { SqlContainerStore } from "./store.ts";

export const containersPlugin = definePlugin({
  type: pluginTypes.service,
  id: "containers-service",
  requires: storeRequires,
  start: (init) => new SqlContainerStore(storeOptions(init)),
});
