/**
 * How pods and containers stand in the metadata: containerd's labels and extensions, so that its clients see what they would there, and
 * a root of containerd's can be taken over.
 */

import type { TypedBytes } from "@hull/engine/labels";
import { internal } from "@hull/errors";
import { parseGoJson } from "./go-json.ts";
import { kindLabel } from "./labels.ts";

export { goJson, parseGoJson } from "./go-json.ts";
export { kindLabel } from "./labels.ts";

const extensions = {
  sandbox: {
    name: "io.cri-containerd.sandbox.metadata",
    typeUrl: "github.com/containerd/cri/pkg/store/sandbox/Metadata",
  },
  container: {
    name: "io.cri-containerd.container.metadata",
    typeUrl: "github.com/containerd/cri/pkg/store/container/Metadata",
  },
} as const;

export type RecordKind = keyof typeof extensions;

/** The labels of a record: the pod's or container's own and its kind. */
export const labelsOfRecord = (kind: RecordKind, labels: Readonly<Record<string, string>>) => ({
  ...labels,
  [kindLabel]: kind,
});

/** The extension that holds what is known of a pod or container. `metadata` is with Go's field names; messages in it as `goJson` gives them. */
export const extensionOf = (
  kind: RecordKind,
  metadata: Readonly<Record<string, unknown>>,
): Readonly<Record<string, TypedBytes>> => {
  const { name, typeUrl } = extensions[kind];
  const value = new TextEncoder().encode(JSON.stringify({ Version: "v1", Metadata: metadata }));
  return { [name]: { typeUrl, value } };
};

/**
 * What the extension of a record holds, with Go's field names at the first level and messages in `fromPartial`'s form below.
 * @throws Internal if the record has none, or another version
 */
export function metadataOf(
  kind: RecordKind,
  record: { readonly id: string; readonly extensions: Readonly<Record<string, TypedBytes>> },
): Readonly<Record<string, unknown>> {
  const found = record.extensions[extensions[kind].name];
  if (found === undefined) throw internal(`metadata extension ${JSON.stringify(extensions[kind].name)} not found`);
  const { Version, Metadata } = parseGoJson(new TextDecoder().decode(found.value)) as {
    Version?: unknown;
    Metadata?: unknown;
  };
  if (Version !== "v1" || typeof Metadata !== "object" || Metadata === null)
    throw internal(`the metadata of ${kind} "${record.id}" has version ${JSON.stringify(Version)}, not "v1"`);
  return Metadata as Readonly<Record<string, unknown>>;
}
