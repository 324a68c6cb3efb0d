import type { Context } from "../context.ts";
import type { Nanoseconds, TypedBytes } from "../labels.ts";
import type { Mount } from "../mount/index.ts";
import type { TaskStreams } from "./task-streams.ts";

/**
 * Tasks: containers that run. Each is kept by a shim, a process of its own that outlives this one.
 *
 *   create ──► created ──start──► running ◄──pause/resume──► paused
 *                │                   │ exits
 *                └──────kill─────► stopped ──delete──► (gone)
 *
 * Processes added by `exec` live the same way beside the first one, whose exec id is empty. The shim is the truth about a task's state;
 * this side holds the connection. After a restart `load` finds every shim again by its bundle; a shim that died meanwhile is cleaned up
 * and its exit is published.
 */
export interface TaskManager {
  /** @throws NotFound if there is no such container; AlreadyExists if it has a task */
  create(ctx: Context, request: CreateTask): Promise<{ pid: number }>;
  /** Starts the first process, or an exec. */
  start(ctx: Context, id: string, execId?: string): Promise<{ pid: number }>;
  /** Deletes a stopped task and ends its shim. @throws FailedPrecondition while it runs */
  delete(ctx: Context, id: string): Promise<Exit>;
  /** Deletes a stopped exec. @throws FailedPrecondition while it runs */
  deleteProcess(ctx: Context, id: string, execId: string): Promise<Exit>;
  get(ctx: Context, id: string, execId?: string): Promise<ProcessState>;
  list(ctx: Context): Promise<ProcessState[]>;
  kill(ctx: Context, id: string, options: { execId?: string; signal: number; all?: boolean }): Promise<void>;
  exec(ctx: Context, request: ExecProcess): Promise<void>;
  resizePty(ctx: Context, id: string, execId: string, width: number, height: number): Promise<void>;
  closeIo(ctx: Context, id: string, execId: string, stdin: boolean): Promise<void>;
  pause(ctx: Context, id: string): Promise<void>;
  resume(ctx: Context, id: string): Promise<void>;
  pids(ctx: Context, id: string): Promise<{ pid: number; info?: TypedBytes }[]>;
  checkpoint(ctx: Context, id: string, path: string, options?: TypedBytes): Promise<void>;
  update(ctx: Context, id: string, resources: TypedBytes, annotations: Readonly<Record<string, string>>): Promise<void>;
  /** cgroup metrics as the shim gives them (`io.containerd.cgroups.v1.Metrics` or v2). */
  stats(ctx: Context, id: string): Promise<TypedBytes>;
  /** Waits for the exit of a process that exists. */
  wait(ctx: Context, id: string, execId?: string): Promise<Exit>;
  /**
   * The log and the clients of a task's first process, whose streams are named by `criOutput` and `criInput`.
   * @throws NotFound; Unimplemented for a shim that isn't hull's own
   */
  streams(ctx: Context, id: string): Promise<TaskStreams>;
  /** Finds the shims of an earlier run again. Called once at start. */
  load(): Promise<void>;
  /** Lets go of the shims; they go on. */
  close(): Promise<void>;
}

export type TaskStatus = "unknown" | "created" | "running" | "stopped" | "paused" | "pausing";

export interface CreateTask {
  id: string;
  rootfs: readonly Mount[];
  terminal: boolean;
  /** FIFO paths or URIs; empty for none. */
  stdin: string;
  stdout: string;
  stderr: string;
  checkpoint?: string;
  /** Runtime options; without them the container's own. */
  options?: TypedBytes;
  /** Where the shim of the container's sandbox listens, if a controller of another process keeps it. */
  sandboxApi?: { readonly address: string; readonly version: number };
  /** Path of a shim binary that replaces the one that the runtime's name leads to. */
  runtimePath?: string;
  /**
   * How many groups of containers (pods) may be in one shim of hull's own: this one, and others of the same namespace and options that allow
   * it as well. Default: 1.
   */
  groupsPerShim?: number;
}

export interface ExecProcess {
  id: string;
  execId: string;
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  /** OCI process, JSON */
  spec: TypedBytes;
}

export interface ProcessState {
  id: string;
  execId: string;
  bundle: string;
  pid: number;
  status: TaskStatus;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  exitStatus: number;
  exitedAt?: Nanoseconds;
}

/** How a process ended: 128 + signal for a signal. */
export interface Exit {
  pid: number;
  exitStatus: number;
  exitedAt: Nanoseconds;
}
