import { mkdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { invalidArgument, unimplemented } from "@hull/errors";
import type { SpecMount } from "@hull/oci/spec";
import { isErrno } from "@hull/sys/errno";
import { parseSize } from "../size.ts";
import { checkName } from "./store.ts";

/** What is to be mounted: a path of the host, memory, or a volume, by its name or without. */
export type MountWish =
  | (SpecMount & { readonly type: "bind" | "tmpfs"; readonly options: string[] })
  | {
      readonly type: "volume";
      readonly source: string | undefined;
      readonly destination: string;
      readonly options: string[];
      /** Whether it begins with what the image has at its place. */
      readonly fill: boolean;
    };

const propagations = new Set(["rprivate", "private", "rshared", "shared", "rslave", "slave"]);

/**
 * A mount as `-v` says it: `/host/path:/path[:ro,rshared,…]`, with `rro` for mounts below it too; `NAME:/path[:ro,nocopy]`, or a path
 * alone, is a volume. A relative path begins with a dot. A directory of the host that isn't there is made, as docker does.
 * @throws InvalidArgument
 */
export function parseVolume(text: string, makeDirectory: (path: string) => void = makeAll): MountWish {
  const parts = text.split(":");
  const [first = "", second, options = "", ...rest] = parts;
  const source = second === undefined ? undefined : first;
  const destination = second ?? first;
  if (source === "" || rest.length > 0)
    throw invalidArgument(`volume "${text}" must be of the form "[/host/path|name:]/container/path[:ro]"`);
  if (!destination.startsWith("/") || resolve(destination) === "/")
    throw invalidArgument(
      `volume "${text}": the path in the container, "${destination}", must be absolute, and not the root`,
    );
  const place = resolve(destination);
  if (source === undefined || !/^[./]/.test(source)) {
    if (source !== undefined) checkName(source);
    const wished = options.split(",").filter((option) => option !== "" && option !== "nocopy");
    const own = volumeOptions(wished.join(","), text);
    return {
      type: "volume",
      source,
      destination: place,
      options: ["rbind", ...own],
      fill: !options.includes("nocopy"),
    };
  }
  const path = resolve(source);
  makeDirectory(path);
  return { type: "bind", source: path, destination: place, options: ["rbind", ...volumeOptions(options, text)] };
}

function volumeOptions(options: string, text: string): string[] {
  // Labels of SELinux: where it isn't on, docker does nothing either.
  const wished = options.split(",").filter((option) => !["", "rw", "z", "Z"].includes(option));
  const wrong = wished.find((option) => option !== "ro" && option !== "rro" && !propagations.has(option));
  if (wrong !== undefined)
    throw invalidArgument(
      `volume "${text}": option "${wrong}" is not one of ro, rro, rw, nocopy, ${[...propagations].join(", ")}`,
    );
  return wished.some((option) => propagations.has(option)) ? wished : [...wished, "rprivate"];
}

function makeAll(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    // A file is as good; anything else the runtime tells better.
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

/** A mount as `--tmpfs` says it: `/path[:size=64m,mode=1777,…]`. @throws InvalidArgument */
export function parseTmpfs(text: string): MountWish {
  const [destination = "", options = ""] = text.split(":");
  if (!destination.startsWith("/")) throw invalidArgument(`tmpfs "${text}" must be an absolute path in the container`);
  return memory(
    resolve(destination),
    options.split(",").filter((option) => option !== ""),
  );
}

const memory = (destination: string, options: readonly string[]): MountWish => ({
  type: "tmpfs",
  source: "tmpfs",
  destination,
  options: ["noexec", "nosuid", "nodev", ...options],
});

/** Other names of the keys of `--mount`. */
const synonyms: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
};
const keysOf: Readonly<Record<string, readonly string[]>> = {
  bind: ["bind-propagation", "bind-nonrecursive"],
  volume: ["volume-nocopy"],
  tmpfs: ["tmpfs-size", "tmpfs-mode"],
};

/**
 * A mount as `--mount` says it: `type=volume|bind|tmpfs,source=…,target=/path[,readonly,…]`. What a bind names has to be there.
 * @throws InvalidArgument; Unimplemented for keys of volume drivers
 */
export function parseMount(text: string): MountWish {
  const wrong = (why: string): Error => invalidArgument(`invalid argument "${text}" for "--mount" flag: ${why}`);
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    const written = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    const key = synonyms[written] ?? written;
    const mayStandAlone = ["readonly", "volume-nocopy", "bind-nonrecursive"].includes(key);
    if (at < 0 && !mayStandAlone) throw wrong(`invalid field '${part}' must be a key=value pair`);
    fields.set(key, at < 0 ? "true" : part.slice(at + 1));
  }
  const type = fields.get("type") ?? "volume";
  const own = keysOf[type];
  if (own === undefined) throw wrong(`the type "${type}" is not one of bind, volume, tmpfs`);
  for (const key of fields.keys()) {
    if (["volume-driver", "volume-opt", "volume-label"].includes(key))
      throw unimplemented(
        `--mount "${text}": "${key}" is not supported: there is one kind of volume, and labels are given by hull volume create`,
      );
    if (!["type", "source", "target", "readonly", "consistency", ...own].includes(key))
      throw wrong(`unexpected key '${key}' in '${text}'`);
  }
  const flag = (key: string): boolean => {
    const value = fields.get(key) ?? "false";
    if (!/^(true|false|1|0)$/i.test(value)) throw wrong(`invalid value for ${key}: ${value}`);
    return /^(true|1)$/i.test(value);
  };
  const target = fields.get("target") ?? "";
  if (target === "") throw wrong("target is required");
  if (!target.startsWith("/") || resolve(target) === "/")
    throw wrong(`the target "${target}" must be an absolute path, and not the root`);
  const destination = resolve(target);
  const readOnly = flag("readonly") ? ["ro"] : [];
  const source = fields.get("source");
  if (type === "tmpfs") {
    if (source !== undefined) throw wrong("a tmpfs has no source");
    const size = fields.get("tmpfs-size");
    const mode = fields.get("tmpfs-mode");
    if (mode !== undefined && !/^[0-7]{1,4}$/.test(mode)) throw wrong(`invalid value for tmpfs-mode: ${mode}`);
    return memory(destination, [
      ...readOnly,
      ...(size === undefined ? [] : [`size=${parseSize(size, "tmpfs-size")}`]),
      ...(mode === undefined ? [] : [`mode=${mode}`]),
    ]);
  }
  if (type === "volume") {
    if (source !== undefined && source !== "") checkName(source);
    const fill = !flag("volume-nocopy");
    return {
      type: "volume",
      source: source || undefined,
      destination,
      options: ["rbind", "rprivate", ...readOnly],
      fill,
    };
  }
  if (source === undefined || source === "") throw wrong("a bind needs a source");
  const propagation = fields.get("bind-propagation") ?? "rprivate";
  if (!propagations.has(propagation)) throw wrong(`invalid value for bind-propagation: ${propagation}`);
  const path = resolve(source);
  if (statSync(path, { throwIfNoEntry: false }) === undefined)
    throw invalidArgument(`invalid mount config for type "bind": bind source path does not exist: ${path}`);
  const how = flag("bind-nonrecursive") ? "bind" : "rbind";
  return { type: "bind", source: path, destination, options: [how, propagation, ...readOnly] };
}
