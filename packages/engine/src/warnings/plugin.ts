import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { Warnings } from "./index.ts";

export const deprecationsPlugin = definePlugin({
  type: pluginTypes.warning,
  id: "deprecations",
  start: () => new Warnings(),
});
