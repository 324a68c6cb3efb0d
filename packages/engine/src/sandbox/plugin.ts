import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { SqlSandboxStore } from "./store.ts";

export const sandboxStorePlugin = definePlugin({
  type: pluginTypes.sandboxStore,
  id: "local",
  requires: storeRequires,
  start: (init) => new SqlSandboxStore(storeOptions(init)),
});
