import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import type { Client } from "@hull/client/client";
import { writeContent } from "@hull/client/content";
import { toWireDescriptor } from "@hull/client/images";
import { parseDuration } from "@hull/engine/plugin/duration";
import { invalidArgument, isCode, unimplemented } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { digestOf } from "@hull/oci/digest";
import type { HealthCheck } from "@hull/oci/health-check";
import { mediaTypes } from "@hull/oci/media-types";
import { namelessPrefix } from "./find.ts";

/** The part `config` of an image's config, as it is written (OCI image specification, config.md). */
export interface Defaults {
  User?: string;
  ExposedPorts?: Record<string, object>;
  Env?: string[];
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Volumes?: Record<string, object>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  Healthcheck?: HealthCheck;
}

export interface NewImage {
  /** The whole config, to be written as JSON. */
  readonly config: unknown;
  readonly layers: readonly Descriptor[];
  /** With Docker's media types, as an image that begins with such a one has them. */
  readonly docker: boolean;
  /** Full; the digest for one that has none. */
  readonly name?: string | undefined;
}

/** Writes config and manifest of an image whose layers are here, and records it in place of what has its name. Gives its digest. */
export async function writeImage(client: Client, { config, layers, docker, name }: NewImage): Promise<string> {
  const configType = docker ? mediaTypes.dockerConfig : mediaTypes.ociConfig;
  const manifestType = docker ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
  const written = await writeJson(client, configType, config);
  const labels: Record<string, string> = { "containerd.io/gc.ref.content.config": written.digest };
  for (const [at, { digest }] of layers.entries()) labels[`containerd.io/gc.ref.content.l.${at}`] = digest;
  const document = { schemaVersion: 2, mediaType: manifestType, config: written, layers };
  const manifest = await writeJson(client, manifestType, document, labels);
  // The same bytes may have been there before, with labels of their own.
  const updateMask = Object.keys(labels).map((key) => `labels.${key}`);
  await client.service(ContentDefinition).update({ info: { digest: manifest.digest, labels }, updateMask });
  const images = client.service(ImagesDefinition);
  const image = { name: name ?? `${namelessPrefix}${manifest.digest}`, target: toWireDescriptor(manifest) };
  try {
    await images.create({ image });
  } catch (error) {
    if (!isCode(error, "alreadyExists")) throw error;
    await images.update({ image, updateMask: ["target"] });
  }
  return manifest.digest;
}

async function writeJson(
  client: Client,
  mediaType: string,
  value: unknown,
  labels: Readonly<Record<string, string>> = {},
): Promise<Descriptor> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  async function* once() {
    yield bytes;
  }
  return { mediaType, ...(await writeContent(client, `image-${digestOf(bytes)}`, once(), { labels })) };
}

/** An instruction's words: JSON's list of strings, else one for a shell. */
function command(text: string): string[] {
  if (!text.startsWith("[")) return ["/bin/sh", "-c", text];
  try {
    const words: unknown = JSON.parse(text);
    if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
  } catch {
    // Told below.
  }
  return ["/bin/sh", "-c", text];
}

/** `KEY=VALUE KEY="VALUE WITH BLANKS" …`, or `KEY VALUE`. */
function pairs(text: string): [string, string][] {
  const found = [...text.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)/g)];
  if (found.length === 0) {
    const [, key = text, value = ""] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    return [[key, value]];
  }
  return found.map(([, key = "", value = ""]) => [
    key,
    value.replace(/^(["'])(.*)\1$/s, "$2").replaceAll(/\\(.)/g, "$1"),
  ]);
}

/** What `--interval=…` and the like of HEALTHCHECK are called in a config. */
const healthTimes: Readonly<Record<string, "Interval" | "Timeout" | "StartPeriod" | "StartInterval">> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};

/** `[--interval=30s …] CMD command`, or `NONE`. @throws InvalidArgument */
function healthCheck(text: string, line: string): HealthCheck {
  const [, options = "", kind = "", rest = ""] = /^((?:--\S+\s+)*)(cmd|none)\b\s*(.*)$/is.exec(text) ?? [];
  const isNone = kind.toUpperCase() === "NONE";
  if (kind === "" || isNone !== (rest === ""))
    throw invalidArgument(`--change "${line}": write HEALTHCHECK [--interval=TIME …] CMD COMMAND, or HEALTHCHECK NONE`);
  const check: Record<string, number> = {};
  for (const option of options.split(/\s+/).filter(Boolean)) {
    const [, name = "", value = ""] = /^--([a-z-]+)=(.*)$/.exec(option) ?? [];
    const time = healthTimes[name];
    if (time !== undefined) check[time] = parseDuration(value) * 1e6;
    else if (name === "retries" && /^\d+$/.test(value)) check.Retries = Number(value);
    else throw invalidArgument(`--change "${line}": "${option}" is not an option of HEALTHCHECK with its value`);
  }
  const words = rest.startsWith("[") ? command(rest) : ["CMD-SHELL", rest];
  return { ...check, Test: isNone ? ["NONE"] : rest.startsWith("[") ? ["CMD", ...words] : words };
}

/**
 * Changes defaults as a line of a Dockerfile says: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
 * @throws InvalidArgument; Unimplemented for ONBUILD
 */
export function applyChange(defaults: Defaults, line: string): Defaults {
  const [, word = "", text = ""] = /^\s*([a-z]+)\s+(.*?)\s*$/is.exec(line) ?? [];
  const listed = (): string[] => (text.startsWith("[") ? command(text) : text.split(/\s+/));
  switch (word.toUpperCase()) {
    case "CMD":
      return { ...defaults, Cmd: command(text) };
    case "ENTRYPOINT":
      return { ...defaults, Entrypoint: command(text) };
    case "ENV": {
      const env = new Map((defaults.Env ?? []).map((each) => [each.split("=")[0] ?? "", each]));
      for (const [key, value] of pairs(text)) env.set(key, `${key}=${value}`);
      return { ...defaults, Env: [...env.values()] };
    }
    case "LABEL":
      return { ...defaults, Labels: { ...defaults.Labels, ...Object.fromEntries(pairs(text)) } };
    case "EXPOSE": {
      const ports = listed().map((port) => [port.includes("/") ? port : `${port}/tcp`, {}]);
      return { ...defaults, ExposedPorts: { ...defaults.ExposedPorts, ...Object.fromEntries(ports) } };
    }
    case "VOLUME":
      return {
        ...defaults,
        Volumes: { ...defaults.Volumes, ...Object.fromEntries(listed().map((path) => [path, {}])) },
      };
    case "USER":
      return { ...defaults, User: text };
    case "WORKDIR":
      return { ...defaults, WorkingDir: text };
    case "STOPSIGNAL":
      return { ...defaults, StopSignal: text };
    case "HEALTHCHECK":
      return { ...defaults, Healthcheck: healthCheck(text, line) };
    case "ONBUILD":
      throw unimplemented(`--change "${line}": ONBUILD is not supported: it is for builds, which hull doesn't do`);
    default:
      throw invalidArgument(
        `--change "${line}" must be one of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR and its value`,
      );
  }
}
