import type { Context } from "../context.ts";
import type { Nanoseconds, TypedBytes } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import type { SandboxInput } from "./index.ts";

/**
 * A sandbox controller makes what a sandbox's record describes real: the surroundings that some containers share.
 *
 *   create ──► created ──start──► ready ──stop──► not ready ──shutdown──► (gone)
 *                                   └── ends by itself ──► not ready
 *
 * Tasks of containers that name the sandbox go to the shim that keeps it. The record is the store's matter: neither knows of the other's.
 */
export interface SandboxController {
  /** @throws AlreadyExists; Unimplemented if the runtime's shim knows no sandboxes; what starting a shim throws */
  create(ctx: Context, sandbox: SandboxInput, options?: CreateSandbox): Promise<void>;
  /** @throws NotFound */
  start(ctx: Context, id: string): Promise<StartedSandbox>;
  /** What can run in it. @throws NotFound */
  platform(ctx: Context, id: string): Promise<SandboxPlatform>;
  /** Ends what runs in it, kindly for `timeoutSeconds` at most. One that is gone is stopped. */
  stop(ctx: Context, id: string, timeoutSeconds: number): Promise<void>;
  /** Resolves when it has ended. @throws NotFound */
  wait(ctx: Context, id: string): Promise<SandboxExit>;
  /** Of one that is gone: that it has ended. */
  status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus>;
  /** Ends it and takes down all that was made for it. @throws NotFound */
  shutdown(ctx: Context, id: string): Promise<void>;
  /** @throws NotFound; Unimplemented if its shim has none */
  metrics(ctx: Context, id: string): Promise<SandboxMetrics>;
  /** Tells of changes to the record, by its fields. */
  update(ctx: Context, sandbox: SandboxInput, fields: readonly string[]): Promise<void>;
  /** Finds the sandboxes of an earlier run again. Called once at start, before the tasks are. */
  load(): Promise<void>;
  /** Lets go of them; they go on. */
  close(): Promise<void>;
}

export interface CreateSandbox {
  rootfs?: readonly Mount[];
  /** For the controller, of a type that it knows. */
  options?: TypedBytes;
  /** Path of the network namespace that the containers share; none if empty. */
  netnsPath?: string;
  annotations?: Readonly<Record<string, string>>;
}

export interface StartedSandbox {
  pid: number;
  createdAt?: Nanoseconds;
  /** The spec as the sandbox was started with, if the shim tells. */
  spec?: TypedBytes;
  /** Where the Task service of its containers is. */
  address: string;
  version: number;
}

export interface SandboxPlatform {
  os: string;
  architecture: string;
  variant: string;
}

export interface SandboxExit {
  exitStatus: number;
  exitedAt?: Nanoseconds;
}

export interface SandboxStatus {
  pid: number;
  /** `SANDBOX_READY`, `SANDBOX_NOTREADY`; empty for one that is gone. */
  state: string;
  info: Readonly<Record<string, string>>;
  createdAt?: Nanoseconds;
  exitedAt?: Nanoseconds;
  extra?: TypedBytes;
  address: string;
  version: number;
}

export interface SandboxMetrics {
  timestamp?: Nanoseconds;
  id: string;
  data?: TypedBytes;
}
