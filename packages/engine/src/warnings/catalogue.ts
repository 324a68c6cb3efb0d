/**
 * What is deprecated, with containerd's ids and texts. `setting` is the table or key of the configuration whose presence it is: in the
 * plugin's table, the path to it.
 */
export const deprecations = {
  "cri-registry-mirrors": registry("mirrors", "v1.5", "Use `config_path` instead."),
  "cri-registry-configs": registry("configs", "v1.5", "Use `config_path` instead."),
  "cri-registry-auths": registry("auths", "v1.3", "Use `ImagePullSecrets` instead."),
  "tracing-processor-config": {
    setting: { plugin: "io.containerd.tracing.processor.v1.otlp", path: [] },
    message:
      'The `otlp` property of `[plugins."io.containerd.tracing.processor.v1".otlp]` is deprecated since containerd v1.6 and will be ' +
      "removed in containerd v2.3.Use OTLP environment variables instead: https://opentelemetry.io/docs/specs/otel/protocol/exporter/",
  },
  "tracing-service-config": {
    setting: { plugin: "io.containerd.internal.v1.tracing", path: [] },
    message:
      'The `tracing` property of `[plugins."io.containerd.internal.v1".tracing]` is deprecated since containerd v1.6 and will be ' +
      "removed in containerd v2.3.Use OTEL environment variables instead: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/",
  },
} as const satisfies Readonly<Record<string, Deprecation>>;

/** One of them. */
export interface Deprecation {
  readonly setting: { readonly plugin: string; readonly path: readonly string[] };
  readonly message: string;
}

function registry(key: string, since: string, instead: string): Deprecation {
  return {
    setting: { plugin: "io.containerd.cri.v1.images", path: ["registry", key] },
    message:
      `The \`${key}\` property of \`[plugins."io.containerd.grpc.v1.cri".registry]\` is deprecated since containerd ${since} and will ` +
      `be removed in containerd ${key === "mirrors" ? "v2.1" : "v2.3"}.${instead}`,
  };
}

/** The deprecated settings that a configuration has. @param plugins the tables of plugins, by their full names */
export function deprecatedSettings(plugins: Readonly<Record<string, unknown>>): (keyof typeof deprecations)[] {
  return (Object.keys(deprecations) as (keyof typeof deprecations)[]).filter((name) => {
    const { plugin, path } = deprecations[name].setting;
    return isSet(plugins[plugin], path);
  });
}

function isSet(value: unknown, path: readonly string[]): boolean {
  const [first, ...rest] = path;
  if (typeof value !== "object" || value === null) return false;
  if (first === undefined) return Object.keys(value).length > 0;
  return Object.hasOwn(value, first) && isSet((value as Readonly<Record<string, unknown>>)[first], rest);
}
