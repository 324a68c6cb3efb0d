import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { invalidArgument, unimplemented } from "@hull/errors";
import type { SpecMount } from "@hull/oci/spec";

const propagations = new Set(["rprivate", "private", "rshared", "shared", "rslave", "slave"]);

/**
 * A volume as `-v` says it: `/host/path:/path[:ro,rshared,…]`, with `rro` for mounts below it too; a relative path begins with a dot. A directory that isn't there is made,
 * as Docker does. @throws InvalidArgument; Unimplemented for volumes with a name or without a source
 */
export function parseVolume(text: string, makeDirectory: (path: string) => void = makeAll): SpecMount {
  const [source, destination, options = "", ...rest] = text.split(":");
  if (source === undefined || source === "" || rest.length > 0)
    throw invalidArgument(`volume "${text}" must be of the form "/host/path:/container/path[:ro]"`);
  if (destination === undefined || destination === "")
    throw unimplemented(
      `volume "${text}": volumes without a host path are not supported yet: write "/host/path:${source}"`,
    );
  if (!/^[./]/.test(source))
    throw unimplemented(
      `volume "${text}": named volumes are not supported yet: write a path, "./${source}" or absolute`,
    );
  if (!destination.startsWith("/"))
    throw invalidArgument(`volume "${text}": the path in the container, "${destination}", must be absolute`);
  const path = resolve(source);
  makeDirectory(path);
  return { type: "bind", source: path, destination, options: ["rbind", ...volumeOptions(options, text)] };
}

function volumeOptions(options: string, text: string): string[] {
  const wished = options.split(",").filter((option) => option !== "" && option !== "rw");
  const wrong = wished.find((option) => option !== "ro" && option !== "rro" && !propagations.has(option));
  if (wrong !== undefined)
    throw invalidArgument(
      `volume "${text}": option "${wrong}" is not one of ro, rro, rw, ${[...propagations].join(", ")}`,
    );
  return wished.some((option) => propagations.has(option)) ? wished : [...wished, "rprivate"];
}

function makeAll(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    // A file is as good; anything else the runtime tells better.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

/** A mount as `--tmpfs` says it: `/path[:size=64m,mode=1777,…]`. @throws InvalidArgument */
export function parseTmpfs(text: string): SpecMount {
  const [destination = "", options = ""] = text.split(":");
  if (!destination.startsWith("/")) throw invalidArgument(`tmpfs "${text}" must be an absolute path in the container`);
  const wished = options.split(",").filter((option) => option !== "");
  return { type: "tmpfs", source: "tmpfs", destination, options: ["noexec", "nosuid", "nodev", ...wished] };
}
