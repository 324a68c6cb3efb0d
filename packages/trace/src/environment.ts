import { invalidArgument } from "@hull/errors";
import type { Attributes } from "./index.ts";

/**
 * Where spans go, by the variables that OpenTelemetry's programs share.
 * Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and …/protocol/exporter/
 */
export interface TraceSettings {
  /** Where they are posted to. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** How long a post may take, ms. */
  readonly timeoutMs: number;
  readonly sampler: Sampler;
  /** What is said of the process: `service.name` and others. */
  readonly resource: Attributes;
}

/** Which traces are taken. `parentBased`: where a caller has decided, as it did. */
export interface Sampler {
  readonly parentBased: boolean;
  /** From 0 to 1. */
  readonly ratio: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** True if the environment names a collector; reading the rest can wait. */
export function isTraced(env: Environment): boolean {
  return (
    ((env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? "") !== "" || (env.OTEL_EXPORTER_OTLP_ENDPOINT ?? "") !== "") &&
    env.OTEL_SDK_DISABLED?.toLowerCase() !== "true" &&
    env.OTEL_TRACES_EXPORTER !== "none"
  );
}

/**
 * The settings, undefined if no collector is named.
 * @throws InvalidArgument for values that can't be followed, naming the variable
 */
export function readTraceSettings(env: Environment, serviceName: string): TraceSettings | undefined {
  if (!isTraced(env)) return undefined;
  const own = (name: string): string | undefined =>
    nonEmpty(env[`OTEL_EXPORTER_OTLP_TRACES_${name}`]) ?? nonEmpty(env[`OTEL_EXPORTER_OTLP_${name}`]);
  const protocol = own("PROTOCOL") ?? "http/json";
  // Every collector that takes protobuf at an address takes JSON there: OTLP's specification demands both.
  if (!["http/json", "http/protobuf"].includes(protocol))
    throw invalidArgument(
      `OTEL_EXPORTER_OTLP_PROTOCOL "${protocol}" is not supported: set "http/json" and the collector's HTTP endpoint, such as http://localhost:4318`,
    );
  const exporter = nonEmpty(env.OTEL_TRACES_EXPORTER) ?? "otlp";
  if (exporter !== "otlp")
    throw invalidArgument(`OTEL_TRACES_EXPORTER "${exporter}" is not supported: only "otlp" and "none" are`);
  const timeoutMs = Number(own("TIMEOUT") ?? 10_000);
  if (!(timeoutMs > 0)) throw invalidArgument(`OTEL_EXPORTER_OTLP_TIMEOUT "${own("TIMEOUT")}" must be milliseconds`);
  return {
    url: urlOf(env),
    headers: pairsOf(own("HEADERS") ?? ""),
    timeoutMs,
    sampler: samplerOf(nonEmpty(env.OTEL_TRACES_SAMPLER) ?? "parentbased_always_on", env.OTEL_TRACES_SAMPLER_ARG),
    resource: {
      "service.name": serviceName,
      ...pairsOf(env.OTEL_RESOURCE_ATTRIBUTES ?? ""),
      ...(nonEmpty(env.OTEL_SERVICE_NAME) === undefined ? {} : { "service.name": env.OTEL_SERVICE_NAME ?? "" }),
      "process.pid": process.pid,
    },
  };
}

function urlOf(env: Environment): string {
  const [name, text] =
    nonEmpty(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) === undefined
      ? ["OTEL_EXPORTER_OTLP_ENDPOINT", `${env.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, "")}/v1/traces`]
      : ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? ""];
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw invalidArgument(`${name} "${env[name]}" must be an HTTP URL, such as "http://localhost:4318"`);
  return text;
}

/** `a=b,c=d`, values percent-encoded (W3C baggage). */
function pairsOf(text: string): Record<string, string> {
  const pairs = text.split(",").flatMap((pair) => {
    const [, key, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    return key === undefined || value === undefined ? [] : [[key, decode(value)] as const];
  });
  return Object.fromEntries(pairs);
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function samplerOf(name: string, argument: string | undefined): Sampler {
  const parentBased = name.startsWith("parentbased_");
  switch (name.replace(/^parentbased_/, "")) {
    case "always_on":
      return { parentBased, ratio: 1 };
    case "always_off":
      return { parentBased, ratio: 0 };
    case "traceidratio": {
      const ratio = Number(argument ?? 1);
      if (!(ratio >= 0 && ratio <= 1))
        throw invalidArgument(`OTEL_TRACES_SAMPLER_ARG "${argument}" must be a number from 0 to 1`);
      return { parentBased, ratio };
    }
  }
  throw invalidArgument(
    `OTEL_TRACES_SAMPLER "${name}" is not supported: use "parentbased_always_on" or "traceidratio"`,
  );
}

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text);
