import type { NameKind } from "../completion/complete.ts";

/** What the first arguments of commands are names of, the last of them for all that follow; "-" for what nothing is known of. */
const byCommand: Readonly<Record<string, readonly (NameKind | "-")[]>> = {
  run: ["image", "-"],
  create: ["image", "-"],
  attach: ["running", "-"],
  cp: ["container"],
  diff: ["container", "-"],
  commit: ["container", "image"],
  exec: ["running", "-"],
  export: ["container", "-"],
  history: ["image", "-"],
  inspect: ["container"],
  kill: ["running"],
  logs: ["container", "-"],
  "network connect": ["network", "container"],
  "network disconnect": ["network", "container"],
  "network inspect": ["network"],
  "network rm": ["network"],
  pause: ["running"],
  port: ["running", "-"],
  pull: ["image"],
  push: ["image"],
  rename: ["container", "-"],
  restart: ["container"],
  rm: ["container"],
  rmi: ["image"],
  save: ["image"],
  start: ["stopped"],
  stats: ["running"],
  stop: ["running"],
  tag: ["image", "-"],
  top: ["running", "-"],
  unpause: ["running"],
  update: ["container"],
  wait: ["running"],
};

/** What an argument of a command is the name of. */
export function completes(path: string, position: number): NameKind | undefined {
  const kinds = byCommand[path];
  const kind = kinds?.[Math.min(position, kinds.length - 1)];
  return kind === "-" ? undefined : kind;
}
