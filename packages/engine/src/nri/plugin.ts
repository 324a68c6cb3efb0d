import { configTable, duration, flag, tableOf, text, texts } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { ValidatorRules } from "./default-validator.ts";
import { type Nri, type NriOptions, type NriStarter, startNri } from "./index.ts";

const rulesOf = (table: {
  reject_oci_hook_adjustment: boolean;
  reject_runtime_default_seccomp_adjustment: boolean;
  reject_unconfined_seccomp_adjustment: boolean;
  reject_custom_seccomp_adjustment: boolean;
  reject_namespace_adjustment: boolean;
  reject_sysctl_adjustment: boolean;
  required_plugins: readonly string[];
  tolerate_missing_plugins_annotation: string;
}): ValidatorRules => ({
  rejectHooks: table.reject_oci_hook_adjustment,
  rejectRuntimeDefaultSeccomp: table.reject_runtime_default_seccomp_adjustment,
  rejectUnconfinedSeccomp: table.reject_unconfined_seccomp_adjustment,
  rejectCustomSeccomp: table.reject_custom_seccomp_adjustment,
  rejectNamespaces: table.reject_namespace_adjustment,
  rejectSysctls: table.reject_sysctl_adjustment,
  requiredPlugins: table.required_plugins,
  tolerateMissingAnnotation: table.tolerate_missing_plugins_annotation,
});

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
    default_validator: tableOf(
      {
        enable: flag(false, "What is set below is rejected"),
        reject_oci_hook_adjustment: flag(false, "Plugins may add no OCI hooks"),
        reject_runtime_default_seccomp_adjustment: flag(false, "… nor change the runtime's seccomp policy"),
        reject_unconfined_seccomp_adjustment: flag(false, "… nor give one to a container without"),
        reject_custom_seccomp_adjustment: flag(false, "… nor change one of the pod's own"),
        reject_namespace_adjustment: flag(false, "… nor namespaces"),
        reject_sysctl_adjustment: flag(false, "… nor sysctls"),
        required_plugins: texts([], "Plugins that every container has to go through, as name or NN-name"),
        tolerate_missing_plugins_annotation: text("", "Annotation by which a pod does without them; empty: none"),
      },
      "The validator that is built in",
    ),
  }),
  start: ({ config, log, skip, onStop }) => {
    if (config.disable) skip("NRI interface is disabled by configuration");
    let nri: Promise<Nri> | undefined;
    const options: NriOptions = {
      socket: config.disable_connections ? undefined : config.socket_path,
      plugins: config.plugin_path,
      configs: config.plugin_config_path,
      registrationTimeout: config.plugin_registration_timeout,
      requestTimeout: config.plugin_request_timeout,
      ...(config.default_validator.enable ? { rules: rulesOf(config.default_validator) } : {}),
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
