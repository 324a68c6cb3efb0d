import { defineFlags } from "../command/index.ts";

/** The flags of ctr itself. */
export const globalFlags = defineFlags({
  debug: { kind: "switch", summary: "enable debug output in logs" },
  address: {
    kind: "text",
    aliases: ["a"],
    summary: "address for containerd's GRPC server",
    default: "/run/hull/hull.sock",
    env: ["CONTAINERD_ADDRESS"],
  },
  timeout: { kind: "duration", summary: "total timeout for ctr commands", default: 0 },
  "connect-timeout": { kind: "duration", summary: "timeout for connecting to containerd", default: 0 },
  namespace: {
    kind: "text",
    aliases: ["n"],
    summary: "namespace to use with commands",
    default: "default",
    env: ["CONTAINERD_NAMESPACE"],
    names: "namespace",
  },
  version: { kind: "switch", aliases: ["v"], summary: "print the version" },
});

export const snapshotterFlag = {
  kind: "text",
  summary: "snapshotter name. Empty value stands for the default value.",
  env: ["CONTAINERD_SNAPSHOTTER"],
  names: "snapshotter",
} as const;

/** A group's flags are among the globals of its commands. */
export const snapshotsFlags = defineFlags({ snapshotter: snapshotterFlag });

export const defaultSnapshotter = "overlayfs";
export const defaultRuntime = "io.containerd.runc.v2";
