import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { SqlLeaseStore } from "./store.ts";

export const leasesPlugin = definePlugin({
  type: pluginTypes.lease,
  id: "manager",
  requires: storeRequires,
  start: (init) => new SqlLeaseStore(storeOptions(init)),
});
