import { invalidArgument, notFound } from "@hull/errors";
import type { MessageCodec, MessageOf, PartialOf } from "./rpc.ts";
import { Writer } from "./writer.ts";

/**
 * What stands in a `google.protobuf.Any`.
 *
 * containerd names a protobuf message by its bare full name, without the `type.googleapis.com/` that other programs put before it;
 * both are read here, the bare name is written. OCI documents and CRI's records are JSON under a URL of their own. An Any that
 * nobody here knows is to be stored and handed on as it is. Source: https://github.com/containerd/typeurl.
 *
 * The messages are loaded when they are first needed: importing this file loads none of them.
 */

/** The shape of the generated `google.protobuf.Any`. */
export interface Any {
  typeUrl: string;
  value: Uint8Array;
}

/** Type URLs whose value is JSON. */
export const jsonTypes = {
  spec: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
  process: "types.containerd.io/opencontainers/runtime-spec/1/Process",
  linuxResources: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
  windowsResources: "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources",
  features: "types.containerd.io/opencontainers/runtime-spec/1/features/Features",
  criContainerMetadata: "github.com/containerd/cri/pkg/store/container/Metadata",
  criSandboxMetadata: "github.com/containerd/cri/pkg/store/sandbox/Metadata",
  criUpdatedResources: "io.containerd.cri.v1/UpdatedResources",
  imagePull: "io.hull.cri.v1/ImagePull",
  unexpectedStatus: "github.com/containerd/containerd/v2/core/remotes/errors/ErrUnexpectedStatus",
} as const;

const isJsonType: ReadonlySet<string> = new Set(Object.values(jsonTypes));

function from<M, K extends keyof M>(load: () => Promise<M>, name: K): () => Promise<M[K]> {
  return async () => (await load())[name];
}

const containerEvents = () => import("./gen/containerd/events/container.ts");
const contentEvents = () => import("./gen/containerd/events/content.ts");
const imageEvents = () => import("./gen/containerd/events/image.ts");
const namespaceEvents = () => import("./gen/containerd/events/namespace.ts");
const sandboxEvents = () => import("./gen/containerd/events/sandbox.ts");
const snapshotEvents = () => import("./gen/containerd/events/snapshot.ts");
const taskEvents = () => import("./gen/containerd/events/task.ts");
const runcOptions = () => import("./gen/containerd/runc/v1/options.ts");
const runtimeOptions = () => import("./gen/runtimeoptions/v1/options.ts");
const transferContainer = () => import("./gen/containerd/types/transfer/container.ts");
const transferImageStore = () => import("./gen/containerd/types/transfer/imagestore.ts");
const transferArchive = () => import("./gen/containerd/types/transfer/importexport.ts");
const transferProgress = () => import("./gen/containerd/types/transfer/progress.ts");
const transferRegistry = () => import("./gen/containerd/types/transfer/registry.ts");
const transferStream = () => import("./gen/containerd/types/transfer/streaming.ts");
const streaming = () => import("./gen/containerd/services/streaming/v1/streaming.ts");
const runtimeTypes = () => import("./gen/containerd/types/introspection.ts");
const cgroups1 = () => import("./gen/cgroups/v1/metrics.ts");
const cgroups2 = () => import("./gen/cgroups/v2/metrics.ts");
const empty = () => import("./gen/google/protobuf/empty.ts");

/** Every message that containerd puts into an Any. */
const messageTypes = {
  "containerd.events.ContainerCreate": from(containerEvents, "ContainerCreate"),
  "containerd.events.ContainerUpdate": from(containerEvents, "ContainerUpdate"),
  "containerd.events.ContainerDelete": from(containerEvents, "ContainerDelete"),
  "containerd.events.ContentCreate": from(contentEvents, "ContentCreate"),
  "containerd.events.ContentDelete": from(contentEvents, "ContentDelete"),
  "containerd.services.images.v1.ImageCreate": from(imageEvents, "ImageCreate"),
  "containerd.services.images.v1.ImageUpdate": from(imageEvents, "ImageUpdate"),
  "containerd.services.images.v1.ImageDelete": from(imageEvents, "ImageDelete"),
  "containerd.events.NamespaceCreate": from(namespaceEvents, "NamespaceCreate"),
  "containerd.events.NamespaceUpdate": from(namespaceEvents, "NamespaceUpdate"),
  "containerd.events.NamespaceDelete": from(namespaceEvents, "NamespaceDelete"),
  "containerd.events.SandboxCreate": from(sandboxEvents, "SandboxCreate"),
  "containerd.events.SandboxStart": from(sandboxEvents, "SandboxStart"),
  "containerd.events.SandboxExit": from(sandboxEvents, "SandboxExit"),
  "containerd.events.SnapshotPrepare": from(snapshotEvents, "SnapshotPrepare"),
  "containerd.events.SnapshotCommit": from(snapshotEvents, "SnapshotCommit"),
  "containerd.events.SnapshotRemove": from(snapshotEvents, "SnapshotRemove"),
  "containerd.events.TaskCreate": from(taskEvents, "TaskCreate"),
  "containerd.events.TaskStart": from(taskEvents, "TaskStart"),
  "containerd.events.TaskDelete": from(taskEvents, "TaskDelete"),
  "containerd.events.TaskIO": from(taskEvents, "TaskIO"),
  "containerd.events.TaskExit": from(taskEvents, "TaskExit"),
  "containerd.events.TaskOOM": from(taskEvents, "TaskOOM"),
  "containerd.events.TaskExecAdded": from(taskEvents, "TaskExecAdded"),
  "containerd.events.TaskExecStarted": from(taskEvents, "TaskExecStarted"),
  "containerd.events.TaskPaused": from(taskEvents, "TaskPaused"),
  "containerd.events.TaskResumed": from(taskEvents, "TaskResumed"),
  "containerd.events.TaskCheckpointed": from(taskEvents, "TaskCheckpointed"),
  "containerd.runc.v1.Options": from(runcOptions, "Options"),
  "containerd.runc.v1.CheckpointOptions": from(runcOptions, "CheckpointOptions"),
  "containerd.runc.v1.ProcessDetails": from(runcOptions, "ProcessDetails"),
  "runtimeoptions.v1.Options": from(runtimeOptions, "Options"),
  "containerd.types.transfer.ContainerPath": from(transferContainer, "ContainerPath"),
  "containerd.types.transfer.ImageStore": from(transferImageStore, "ImageStore"),
  "containerd.types.transfer.ImageImportStream": from(transferArchive, "ImageImportStream"),
  "containerd.types.transfer.ImageExportStream": from(transferArchive, "ImageExportStream"),
  "containerd.types.transfer.Progress": from(transferProgress, "Progress"),
  "containerd.types.transfer.OCIRegistry": from(transferRegistry, "OCIRegistry"),
  "containerd.types.transfer.AuthRequest": from(transferRegistry, "AuthRequest"),
  "containerd.types.transfer.AuthResponse": from(transferRegistry, "AuthResponse"),
  "containerd.types.transfer.Data": from(transferStream, "Data"),
  "containerd.types.transfer.WindowUpdate": from(transferStream, "WindowUpdate"),
  "containerd.types.transfer.ReadStream": from(transferStream, "ReadStream"),
  "containerd.types.transfer.WriteStream": from(transferStream, "WriteStream"),
  "containerd.services.streaming.v1.StreamInit": from(streaming, "StreamInit"),
  "containerd.types.RuntimeRequest": from(runtimeTypes, "RuntimeRequest"),
  "containerd.types.RuntimeInfo": from(runtimeTypes, "RuntimeInfo"),
  "io.containerd.cgroups.v1.Metrics": from(cgroups1, "Metrics"),
  "io.containerd.cgroups.v2.Metrics": from(cgroups2, "Metrics"),
  "google.protobuf.Empty": from(empty, "Empty"),
} as const;

/** Full name of a message that is known here. */
export type TypeName = keyof typeof messageTypes;

type CodecOf<N extends TypeName> = Awaited<ReturnType<(typeof messageTypes)[N]>>;

/** The message of a type name. */
export type MessageOfType<N extends TypeName> = MessageOf<CodecOf<N>>;

/** A message out of an Any, with its type's full name to switch on. */
export type UnpackedAny = { [N in TypeName]: { typeName: N; message: MessageOfType<N> } }[TypeName];

/** The name that a type URL means: a JSON URL as it is, else what is behind the last slash. */
export function typeNameOf(typeUrl: string): string {
  if (isJsonType.has(typeUrl)) return typeUrl;
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** True if the Any holds this type, with or without a prefix before its name. */
export function isType(any: Any, typeName: string): boolean {
  return typeNameOf(any.typeUrl) === typeName;
}

/** Names of all messages that are known. */
export const knownTypes: readonly TypeName[] = Object.keys(messageTypes) as TypeName[];

/** True for the name of a message that `packAny` and `unpackAny` know. */
export function isKnownType(typeName: string): typeName is TypeName {
  return Object.hasOwn(messageTypes, typeName);
}

/** Packs a message of a known type, given some of its fields. */
export async function packAny<N extends TypeName>(typeName: N, message: PartialOf<CodecOf<N>>): Promise<Any> {
  return encodeAny(typeName, (await codecOf(typeName)) as never, message as never);
}

/**
 * Unpacks a message of any known type.
 *
 * @throws NotFound for a type that is not known; InvalidArgument if the bytes are not of that type.
 */
export async function unpackAny(any: Any): Promise<UnpackedAny> {
  const typeName = typeNameOf(any.typeUrl);
  if (!isKnownType(typeName)) throw notFound(`no message type is known by the type URL "${any.typeUrl}"`);
  const message = decodeAny(any, typeName, await codecOf(typeName));
  return { typeName, message } as UnpackedAny;
}

/** Packs a message with its codec at hand, for who has loaded it already. */
export function encodeAny<C extends MessageCodec<unknown>>(typeName: string, codec: C, message: PartialOf<C>): Any {
  return { typeUrl: typeName, value: codec.encode(codec.fromPartial(message as never), new Writer()).finish() };
}

/**
 * Unpacks a message with its codec at hand.
 *
 * @throws InvalidArgument if the Any is of another type or its bytes can't be decoded.
 */
export function decodeAny<T>(any: Any, typeName: string, codec: { decode(input: Uint8Array): T }): T {
  if (!isType(any, typeName))
    throw invalidArgument(`an Any of type "${any.typeUrl}" was given where "${typeName}" is needed`);
  try {
    return codec.decode(any.value);
  } catch (cause) {
    throw invalidArgument(`the bytes of an Any of type "${any.typeUrl}" are not such a message`, { cause });
  }
}

/** Packs a value as JSON under a type URL, one of `jsonTypes` or the caller's own. */
export function encodeJsonAny(typeUrl: string, value: unknown): Any {
  return { typeUrl, value: new TextEncoder().encode(JSON.stringify(value)) };
}

/**
 * The value of an Any that holds JSON. Its shape is as its sender made it: check it before use.
 *
 * @throws InvalidArgument if the Any is of another type or no JSON.
 */
export function decodeJsonAny(any: Any, typeUrl: string): unknown {
  if (any.typeUrl !== typeUrl)
    throw invalidArgument(`an Any of type "${any.typeUrl}" was given where "${typeUrl}" is needed`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(any.value)) as unknown;
  } catch (cause) {
    throw invalidArgument(`the value of an Any of type "${any.typeUrl}" is not JSON`, { cause });
  }
}

async function codecOf(typeName: TypeName): Promise<MessageCodec<unknown>> {
  return (await messageTypes[typeName]()) as MessageCodec<unknown>;
}
