import {
  type ContainerStreams,
  openStreams,
  type StreamNames,
  type StreamsOfContainer,
  streamNames,
} from "../logs/index.ts";
import type { PodContainer } from "../model.ts";
import type { ContainersContext } from "./context.ts";

/** What the container's streams are to be called in its task. @throws Unimplemented; Unknown for a pod that is gone */
export function namesOf(of: ContainersContext, container: PodContainer): StreamNames {
  return streamNames(wantedOf(of, container));
}

/** The container's streams, opened on first use. @throws the system's error */
export function streamsOf(of: ContainersContext, container: PodContainer): ContainerStreams {
  const live = of.live.of(container.id);
  live.streams ??= openStreams(wantedOf(of, container), { ctx: of.engine, tasks: of.options.tasks });
  return live.streams;
}

function wantedOf(of: ContainersContext, { id, podId, logPath, config }: PodContainer): StreamsOfContainer {
  const { handlers, pods, config: settings } = of.options;
  return {
    id,
    logPath,
    maxLine: settings.runtime.max_container_log_line_size,
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    tty: config.tty,
    own: handlers.get(pods.get(podId).runtimeHandler).own,
    directory: of.state(id),
  };
}
