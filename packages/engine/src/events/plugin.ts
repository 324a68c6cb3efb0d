import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { LocalEventExchange } from "./exchange.ts";

export const eventsPlugin = definePlugin({
  type: pluginTypes.event,
  id: "exchange",
  start: () => new LocalEventExchange(),
});
