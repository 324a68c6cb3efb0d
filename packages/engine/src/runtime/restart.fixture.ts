/** A process that stands for a daemon which is killed: makes and starts the containers told on its standard input, then waits for its end. */

import type { Container } from "../containers/index.ts";
import { contextFor } from "../context.ts";
import type { CreateTask } from "./index.ts";
import { ShimTaskManager, type TaskManagerOptions } from "./task-manager.ts";

export interface CrashInput {
  namespace: string;
  options: Pick<TaskManagerOptions, "directories" | "daemon" | "shimCommand" | "ociRuntime">;
  tasks: { request: CreateTask; runtime: string; spec: string }[];
}

const { namespace, options, tasks } = (await Bun.stdin.json()) as CrashInput;
const ctx = contextFor(namespace);
const manager = new ShimTaskManager({
  ...options,
  spareShims: 1,
  events: { publish() {} },
  containers: {
    async get(_, id) {
      const task = tasks.find(({ request }) => request.id === id);
      const spec = { typeUrl: "", value: new TextEncoder().encode(task?.spec) };
      return { id, runtime: { name: task?.runtime ?? "" }, spec, sandbox: "" } as Container;
    },
  },
});
for (const { request } of tasks) {
  await manager.create(ctx, request);
  await manager.start(ctx, request.id);
}
await Bun.write(Bun.stdout, "started\n");
setInterval(() => {}, 1 << 30);
