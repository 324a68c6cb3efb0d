import type { Context } from "../context.ts";
import type { Labels, Nanoseconds, TypedBytes } from "../labels.ts";

/**
 * The sandbox store: records of pods, each the shared surroundings of some containers. What runs is the controller's matter; the
 * record says what was asked for, and keeps what its labels refer to from the collector.
 */
export interface SandboxStore {
  /** @throws NotFound */
  get(ctx: Context, id: string): Promise<Sandbox>;
  list(ctx: Context, filters?: readonly string[]): Promise<Sandbox[]>;
  /** @throws AlreadyExists; InvalidArgument (id, runtime name, extension keys, labels) */
  create(ctx: Context, sandbox: SandboxInput): Promise<Sandbox>;
  /**
   * Paths: `labels`, `labels.<key>`, `extensions`, `extensions.<key>`, `spec`, `runtime`; none replaces labels, extensions, spec and
   * runtime, whose name must stay. @throws NotFound; InvalidArgument
   */
  update(ctx: Context, sandbox: SandboxInput, fieldpaths?: readonly string[]): Promise<Sandbox>;
  /** @throws NotFound */
  delete(ctx: Context, id: string): Promise<void>;
}

export interface Sandbox {
  id: string;
  labels: Labels;
  runtime: { name: string; options?: TypedBytes };
  /** The OCI runtime spec, as the client gave it. */
  spec?: TypedBytes;
  /** Name of the controller that runs it. */
  sandboxer: string;
  extensions: Readonly<Record<string, TypedBytes>>;
  createdAt: Nanoseconds;
  updatedAt: Nanoseconds;
}

export type SandboxInput = Omit<Sandbox, "createdAt" | "updatedAt">;
