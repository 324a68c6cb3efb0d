/**
 * Containers from a TypeScript program: by hull's daemon, or any that speaks containerd's API.
 *
 *     import { connect } from "@hull/client";
 *
 *     await using hull = await connect();
 *     await using container = await hull.run("alpine", { command: ["echo", "hello"] });
 *     console.log(await container.stdout.text());
 *
 * Errors are of one family, `HullError`, by `code`. The services below these classes are `hull.api.service(definition)`, with the definitions of
 * `@hull/client/services`.
 */
export { type Code, HullError, isCode } from "@hull/errors";
export type { Platform } from "@hull/oci/descriptor";
export type { Spec } from "@hull/oci/spec";
export type { CallDefaults, ConnectOptions } from "./client.ts";
export {
  type AllowedPeer,
  type Isolation,
  runSandboxed,
  type SandboxFile,
  type SandboxOptions,
  type SandboxOutcome,
  type SandboxResult,
} from "./sandbox/index.ts";
export { Container, type ContainerState, Containers } from "./sdk/containers.ts";
export type { BlobInfo, Content } from "./sdk/content.ts";
export type { EventsOptions, HullEvent, Topic, TopicEvents } from "./sdk/events.ts";
export type { FileOption } from "./sdk/file-options.ts";
export { connect, Hull } from "./sdk/hull.ts";
export {
  Image,
  type Images,
  type ImportOptions,
  type PullOptions,
  type RegistryAccess,
  type TransferLimits,
} from "./sdk/images.ts";
export type { Leases } from "./sdk/leases.ts";
export type { LogLine, LogOption, LogsOptions } from "./sdk/log-options.ts";
export type { Namespaces } from "./sdk/namespaces.ts";
export type { NetworkOption, PublishOption } from "./sdk/network-options.ts";
export type { Output } from "./sdk/output.ts";
export type { Collected, Exit, Process, StopOptions } from "./sdk/process.ts";
export type { CreateOptions, MountOption, ProcessOptions, RunOptions } from "./sdk/run-options.ts";
export type { ExecutedProcess, RunningContainer } from "./sdk/running.ts";
export type { SignalName } from "./sdk/signals.ts";
export type { SnapshotInfo, Snapshots } from "./sdk/snapshots.ts";
export type { ContainerStats } from "./sdk/stats.ts";
export type { OutputOption, StdinOption } from "./sdk/stdio.ts";
export type { TransferCredentials, TransferProgress } from "./transfer.ts";
