import { configTable, flag, number, text } from "@hull/engine/plugin/config";
import { definePlugin } from "@hull/engine/plugin/index";
import { HullError } from "@hull/errors";
import { isTraced } from "@hull/trace/environment";

/** The type of what takes spans; name containerd's. */
const processorType = "io.containerd.tracing.processor.v1";

/**
 * Tracing: spans of calls, pulls, layers and runtimes, sent to an OpenTelemetry collector (`@hull/trace`). Where to is said by the
 * environment (`OTEL_…`), or by these tables, whose values are put into the environment so that shims have them too. Nothing of it is
 * loaded while no collector is named.
 */
export const otlpPlugin = definePlugin({
  type: processorType,
  id: "otlp",
  config: configTable({
    endpoint: text("", "The collector, such as http://localhost:4318; better set OTEL_EXPORTER_OTLP_ENDPOINT"),
    protocol: text(
      "",
      "http/json or http/protobuf, for which JSON is sent as well; better set OTEL_EXPORTER_OTLP_PROTOCOL",
    ),
    insecure: flag(false, "Speak HTTP to an endpoint that is written without http:// or https://"),
  }),
  start: ({ config, skip }) => {
    const { endpoint, protocol, insecure } = config;
    if (endpoint !== "") {
      const url = /^https?:/.test(endpoint) ? endpoint : `${insecure ? "http" : "https"}://${endpoint}`;
      preset("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    }
    if (protocol !== "") preset("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    if (!isTraced(process.env)) skip("no OpenTelemetry endpoint is set");
    return {};
  },
});

export const tracingPlugin = definePlugin({
  type: "io.containerd.internal.v1",
  id: "tracing",
  requires: [processorType],
  config: configTable({
    service_name: text("", "What the daemon calls itself in traces; empty: OTEL_SERVICE_NAME, else hull"),
    sampling_ratio: number(1, "Share of traces that are taken; better set OTEL_TRACES_SAMPLER", { min: 0, max: 1 }),
  }),
  start: async ({ config, all, skip, log, onStop }) => {
    if (all(processorType).size === 0) skip("no OpenTelemetry endpoint is set");
    const { service_name, sampling_ratio } = config;
    if (sampling_ratio < 1 && (process.env.OTEL_TRACES_SAMPLER ?? "") === "") {
      process.env.OTEL_TRACES_SAMPLER = "parentbased_traceidratio";
      process.env.OTEL_TRACES_SAMPLER_ARG = String(sampling_ratio);
    }
    const { startTracing } = await import("@hull/trace/start");
    const name = service_name === "" ? "hull" : service_name;
    const tracing = startTracing(process.env, name, (message) => log.log("warn", message));
    if (tracing === undefined) return skip("no OpenTelemetry endpoint is set");
    log.log("info", "tracing", { url: tracing.url });
    onStop(async () => {
      try {
        await tracing[Symbol.asyncDispose]();
      } catch (error) {
        log.log("warn", "the last spans could not be sent", { error: HullError.from(error).message });
      }
    });
    return tracing;
  },
});

/** Sets a variable unless whoever started the daemon did. */
function preset(name: string, value: string): void {
  if ((process.env[name] ?? "") === "") process.env[name] = value;
}
