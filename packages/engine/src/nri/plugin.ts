import { unimplemented } from "@hull/errors";
import { configTable, duration, flag, isTable, table, text } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { type Nri, type NriOptions, type NriStarter, startNri } from "./index.ts";

/** NRI. It does nothing until the CRI service starts it, which finds it by this type and id. */
export const nriPlugin = definePlugin({
  type: pluginTypes.nri,
  id: "nri",
  config: configTable({
    disable: flag(false, "No plugin sees pods or containers"),
    socket_path: text("/var/run/nri/nri.sock", "Where plugins connect"),
    plugin_path: text("/opt/nri/plugins", "Programs that are started as plugins, named as in 10-name"),
    plugin_config_path: text("/etc/nri/conf.d", "Their configurations, named as in 10-name.conf or name.conf"),
    plugin_registration_timeout: duration("5s", "Until a plugin that has connected registers"),
    plugin_request_timeout: duration("2s", "Until a plugin answers a call"),
    disable_connections: flag(false, "No plugin may connect by itself"),
    default_validator: table("The validator that is built in; only enable = false is known"),
  }),
  start: ({ config, log, skip, onStop }) => {
    if (config.disable) skip("NRI interface is disabled by configuration");
    if (isTable(config.default_validator) && config.default_validator.enable === true)
      throw unimplemented("NRI's built-in validator is not supported: set default_validator.enable = false");
    let nri: Promise<Nri> | undefined;
    const options: NriOptions = {
      socket: config.disable_connections ? undefined : config.socket_path,
      plugins: config.plugin_path,
      configs: config.plugin_config_path,
      registrationTimeout: config.plugin_registration_timeout,
      requestTimeout: config.plugin_request_timeout,
      log,
    };
    onStop(async () => (await nri?.catch(() => undefined))?.close());
    const starter: NriStarter = {
      start(host) {
        nri = startNri(options, host);
        return nri;
      },
    };
    return starter;
  },
});
