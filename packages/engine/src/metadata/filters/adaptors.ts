import type { Container } from "../../containers/index.ts";
import type { ContentInfo, IngestStatus } from "../../content/index.ts";
import type { Image } from "../../images/index.ts";
import type { Labels } from "../../labels.ts";
import type { Lease } from "../../leases/index.ts";
import type { Activation } from "../../mount/manager/index.ts";
import type { Sandbox } from "../../sandbox/index.ts";
import type { SnapshotInfo } from "../../snapshots/index.ts";
import type { Adaptor } from "./index.ts";

/**
 * What each kind of record offers to filters: containerd's fields. An empty text counts as absent. A label's key is all that is
 * behind the first dot; keys with dots are best quoted.
 */

export const imageAdaptor: Adaptor<Pick<Image, "name" | "target" | "labels">> = ({ name, target, labels }, path) => {
  switch (path[0]) {
    case "name":
      return present(name);
    case "target":
      if (path[1] === "digest") return present(target.digest);
      return path[1] === "mediatype" ? present(target.mediaType) : undefined;
    case "labels":
      return byKey(labels, path);
    case "annotations":
      return byKey(target.annotations ?? {}, path);
  }
  return undefined;
};

export const containerAdaptor: Adaptor<Pick<Container, "id" | "image" | "runtime" | "labels">> = (container, path) => {
  switch (path[0]) {
    case "id":
      return present(container.id);
    case "runtime":
      return path[1] === "name" ? present(container.runtime.name) : undefined;
    case "image":
      return present(container.image);
    case "labels":
      return byKey(container.labels, path);
  }
  return undefined;
};

/** Leases and sandboxes. */
const byIdAndLabels: Adaptor<{ id: string; labels: Labels }> = ({ id, labels }, path) => {
  if (path[0] === "id") return present(id);
  return path[0] === "labels" ? byKey(labels, path) : undefined;
};

export const leaseAdaptor: Adaptor<Pick<Lease, "id" | "labels">> = byIdAndLabels;

export const sandboxAdaptor: Adaptor<Pick<Sandbox, "id" | "labels">> = byIdAndLabels;

export const contentAdaptor: Adaptor<Pick<ContentInfo, "digest" | "labels">> = ({ digest, labels }, path) => {
  if (path[0] === "digest") return present(digest);
  return path[0] === "labels" ? byKey(labels, path) : undefined;
};

export const ingestAdaptor: Adaptor<Pick<IngestStatus, "ref">> = ({ ref }, path) =>
  path[0] === "ref" ? present(ref) : undefined;

export const snapshotAdaptor: Adaptor<Pick<SnapshotInfo, "name" | "parent" | "kind" | "labels">> = (snapshot, path) => {
  switch (path[0]) {
    case "kind":
      return snapshot.kind;
    case "name":
      return present(snapshot.name);
    case "parent":
      return present(snapshot.parent);
    case "labels":
      return byKey(snapshot.labels, path);
  }
  return undefined;
};

export const mountAdaptor: Adaptor<Pick<Activation, "name" | "labels">> = ({ name, labels }, path) => {
  if (path[0] === "name") return present(name);
  return path[0] === "labels" ? byKey(labels, path) : undefined;
};

function present(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function byKey(labels: Labels, path: readonly string[]): string | undefined {
  const key = path.slice(1).join(".");
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
