import { readTraceSettings } from "./environment.ts";
import { installRecorder } from "./index.ts";
import { OtlpExporter } from "./otlp.ts";
import { SpanRecorder } from "./recorder.ts";

/** Tracing that runs. */
export interface Tracing extends AsyncDisposable {
  /** Where spans go. */
  readonly url: string;
}

/**
 * Records the spans of this process for the collector that the environment names; undefined if it names none. Disposing sends what is
 * left and ends it.
 * @throws InvalidArgument for variables that can't be followed
 */
export function startTracing(
  env: Readonly<Record<string, string | undefined>>,
  serviceName: string,
  failed: (message: string) => void,
): Tracing | undefined {
  const settings = readTraceSettings(env, serviceName);
  if (settings === undefined) return undefined;
  const exporter = new OtlpExporter(settings, failed);
  installRecorder(new SpanRecorder(settings.sampler, (span) => exporter.add(span)));
  return {
    url: settings.url,
    async [Symbol.asyncDispose]() {
      installRecorder(undefined);
      await exporter.close();
    },
  };
}
