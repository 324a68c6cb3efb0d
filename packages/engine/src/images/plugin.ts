import { storeOptions, storeRequires } from "../metadata/store-init.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { SqlImageStore } from "./store.ts";

export const imagesPlugin = definePlugin({
  type: pluginTypes.service,
  id: "images-service",
  requires: storeRequires,
  start: (init) => new SqlImageStore(storeOptions(init)),
});
