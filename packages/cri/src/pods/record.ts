/**
 * A pod's record: a sandbox in the metadata, with what containerd keeps there in the extension `metadata` and the rest in one of our own.
 *
 * It is written before anything is made (`starting`, with the paths of the namespaces to come), and again when the pod is ready: what a
 * crash leaves in between can be found and taken down.
 */

import { LinuxContainerResources, PodSandboxConfig } from "@hull/api/gen/cri/v1/cri";
import type { Labels, TypedBytes } from "@hull/engine/labels";
import type { Sandbox, SandboxInput } from "@hull/engine/sandbox/index";
import type { RuntimeHandler } from "../handlers.ts";
import type { Pod } from "../model.ts";
import { extensionOf, goJson, labelsOfRecord, metadataOf, parseGoJson } from "../records/index.ts";
import { keeperKind } from "./keeper.ts";

/** Names of the extensions of sandboxes: containerd's, and ours. */
const names = { metadata: "metadata", updated: "updated-resources", own: "hull.cri.pod" } as const;

/** Containers' records have the same under a longer name. */
const containerExtension = "io.cri-containerd.sandbox.metadata";

/** What containerd's form has no place for. */
interface Own {
  readonly state: Pod["state"];
  readonly createdAt: string;
  readonly namespaces: Pod["namespaces"];
  readonly released: boolean;
  readonly pause?: Pod["pause"];
}

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A pod as containerd's `Metadata` has it: Go's field names, and messages in Go's form. */
export const podMetadata = (pod: Pod): Readonly<Record<string, unknown>> => ({
  ID: pod.id,
  Name: pod.name,
  Config: goJson(pod.config),
  NetNSPath: pod.namespaces.net ?? "",
  IP: pod.network.ip,
  AdditionalIPs: pod.network.additionalIps.length === 0 ? null : pod.network.additionalIps,
  RuntimeHandler: pod.runtimeHandler,
  CNIResult: pod.network.result ?? null,
  ProcessLabel: pod.processLabel,
});

/** The same as an extension of a container's record. */
export const podExtension = (pod: Pod): Readonly<Record<string, TypedBytes>> =>
  extensionOf("sandbox", podMetadata(pod));

/** A pod's own labels with its kind. Those too long for the metadata are left out, as containerd does. */
export const podLabels = ({ labels }: PodSandboxConfig, more: Labels = {}): Labels => {
  const longest = 4096;
  const fitting = Object.entries({ ...more, ...labels }).filter(([key, value]) => key.length + value.length <= longest);
  return labelsOfRecord("sandbox", Object.fromEntries(fitting));
};

/** The record of a pod. */
export function podRecord(pod: Pod, handler: RuntimeHandler): SandboxInput {
  const { state, createdAt, namespaces, released = false, pause, updated } = pod;
  const own: Own = {
    state,
    createdAt: String(createdAt),
    namespaces,
    released,
    ...(pause === undefined ? {} : { pause }),
  };
  const metadata = podExtension(pod)[containerExtension];
  return {
    id: pod.id,
    labels: podLabels(pod.config, {
      name: pod.name,
      oci_runtime_type: handler.runtime,
      ...(pod.processLabel === "" ? {} : { selinux_label: pod.processLabel }),
    }),
    runtime: { name: handler.runtime, ...(handler.options === undefined ? {} : { options: handler.options }) },
    sandboxer: keeperKind(pod.config, handler) === "pause" ? "podsandbox" : handler.config.sandboxer,
    extensions: {
      ...(metadata === undefined ? {} : { [names.metadata]: metadata }),
      [names.own]: { typeUrl: "hull.cri.Pod", value: bytes(own) },
      ...(updated === undefined
        ? {}
        : {
            [names.updated]: {
              typeUrl: "io.containerd.cri.v1/UpdatedResources",
              value: bytes({
                Overhead: goJson(updated.overhead) ?? null,
                Resources: goJson(updated.resources) ?? null,
              }),
            },
          }),
    },
  };
}

/** Whether containerd wrote a record, and not we. */
export const isContainerds = ({ extensions }: Pick<Sandbox, "extensions">): boolean =>
  extensions[names.own] === undefined;

/**
 * The pod of a record; a record of containerd's becomes one that is ready, as far as that says.
 * @throws Internal for records without, or with another version of the metadata; SyntaxError
 */
export function podOfRecord(record: Pick<Sandbox, "id" | "extensions" | "createdAt">): Pod {
  const metadata = record.extensions[names.metadata] ?? record.extensions[containerExtension];
  const extensions: Record<string, TypedBytes> = metadata === undefined ? {} : { [containerExtension]: metadata };
  const fields = metadataOf("sandbox", { id: record.id, extensions });
  const text = (name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
  const { AdditionalIPs, Config } = fields;
  const own = ownOf(record.extensions[names.own]);
  const net = text("NetNSPath");
  const updated = updatedOf(record.extensions[names.updated]);
  return {
    id: record.id,
    name: text("Name"),
    config: PodSandboxConfig.fromPartial(Config as PodSandboxConfig),
    runtimeHandler: text("RuntimeHandler"),
    createdAt: own === undefined ? record.createdAt : BigInt(own.createdAt),
    state: own?.state ?? "ready",
    ...(own?.released === true ? { released: true } : {}),
    namespaces: own?.namespaces ?? (net === "" ? {} : { net }),
    network: {
      ip: text("IP"),
      additionalIps: Array.isArray(AdditionalIPs) ? AdditionalIPs.map(String) : [],
      result: rawResult(metadata),
    },
    processLabel: text("ProcessLabel"),
    ...(own?.pause === undefined ? {} : { pause: own.pause }),
    ...(updated === undefined ? {} : { updated }),
  };
}

function ownOf(extension: TypedBytes | undefined): Own | undefined {
  return extension === undefined ? undefined : (JSON.parse(new TextDecoder().decode(extension.value)) as Own);
}

function updatedOf(extension: TypedBytes | undefined): Pod["updated"] {
  if (extension === undefined) return undefined;
  const { Overhead, Resources } = parseGoJson(new TextDecoder().decode(extension.value)) as Record<string, object>;
  return {
    ...(Overhead ? { overhead: LinuxContainerResources.fromPartial(Overhead) } : {}),
    ...(Resources ? { resources: LinuxContainerResources.fromPartial(Resources) } : {}),
  };
}

/** As it was written: names of interfaces are no field names. */
function rawResult(metadata: TypedBytes | undefined): unknown {
  if (metadata === undefined) return undefined;
  const { Metadata } = JSON.parse(new TextDecoder().decode(metadata.value)) as { Metadata: { CNIResult?: unknown } };
  return Metadata.CNIResult ?? undefined;
}
