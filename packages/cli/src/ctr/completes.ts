import type { NameKind, NameSource } from "../completion/complete.ts";
import { globalFlags } from "./globals.ts";

/** What the first arguments of commands are names of, the last of them for all that follow; "-" for what nothing is known of. */
const byPath: Readonly<Record<string, readonly (NameKind | "-")[]>> = {
  run: ["image", "-"],
  install: ["image", "-"],
  "containers create": ["image", "-"],
  "containers delete": ["container"],
  "containers info": ["container", "-"],
  "containers label": ["container", "-"],
  "containers checkpoint": ["container", "-"],
  "containers restore": ["-", "image"],
  "content get": ["content"],
  "content delete": ["content"],
  "content label": ["content", "-"],
  "content edit": ["content", "-"],
  "content push-object": ["-", "content"],
  "images export": ["file", "image"],
  "images import": ["file"],
  "images inspect": ["image", "-"],
  "images mount": ["image", "directory"],
  "images unmount": ["directory"],
  "images push": ["image"],
  "images pull": ["image"],
  "images delete": ["image"],
  "images tag": ["image"],
  "images label": ["image", "-"],
  "images convert": ["image"],
  "images usage": ["image", "-"],
  "leases delete": ["lease"],
  "namespaces remove": ["namespace"],
  "namespaces label": ["namespace", "-"],
  "snapshots commit": ["-", "snapshot"],
  "snapshots diff": ["snapshot"],
  "snapshots info": ["snapshot", "-"],
  "snapshots mounts": ["directory", "snapshot"],
  "snapshots prepare": ["-", "snapshot"],
  "snapshots view": ["-", "snapshot"],
  "snapshots delete": ["snapshot"],
  "snapshots label": ["snapshot", "-"],
  "snapshots unpack": ["content", "-"],
  "snapshots usage": ["snapshot"],
  "tasks attach": ["running", "-"],
  "tasks checkpoint": ["running", "-"],
  "tasks delete": ["container"],
  "tasks exec": ["running", "-"],
  "tasks kill": ["running", "-"],
  "tasks metrics": ["running", "-"],
  "tasks pause": ["running", "-"],
  "tasks ps": ["running", "-"],
  "tasks resume": ["running", "-"],
  "tasks start": ["stopped", "-"],
};

/** What an argument of a command is the name of. */
export function completes(path: string, position: number): NameKind | undefined {
  const kinds = byPath[path];
  const kind = kinds?.[Math.min(position, kinds.length - 1)];
  return kind === "-" ? undefined : kind;
}

/** The names that the daemon of ctr's flags knows. */
export async function ctrNames(env: Readonly<Record<string, string | undefined>>): Promise<NameSource> {
  const { daemonNames } = await import("../completion/names.ts");
  const given = (flag: "address" | "namespace") => (globals: Readonly<Record<string, string>>) => {
    const { default: fallback, env: variables } = globalFlags[flag];
    return globals[flag] ?? variables.map((name) => env[name]).find((value) => value) ?? fallback;
  };
  return daemonNames({ address: given("address"), namespace: given("namespace"), nameOf: ({ id }) => id });
}
