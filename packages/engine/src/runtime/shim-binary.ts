/** From a runtime's name to the program of its shim. Names: containerd's runtime v2. */

import { accessSync, constants } from "node:fs";
import { isAbsolute, join } from "node:path";
import { invalidArgument, notFound } from "@hull/errors";

/** Runtimes that hull's own shim serves; their names lead to no other program. */
const ownRuntimes: ReadonlySet<string> = new Set(["io.containerd.hull.v1", "io.containerd.runc.v2"]);

/** True if hull's own shim is meant. An absolute path always means that program. */
export function isOwnRuntime(runtime: string): boolean {
  return ownRuntimes.has(runtime);
}

/**
 * The program's file name: the last two parts of `io.containerd.runc.v2` make `containerd-shim-runc-v2`.
 *
 * @throws InvalidArgument if the name has no two parts, or a slash in it
 */
export function shimBinaryName(runtime: string): string {
  const [version, name] = runtime.split(".").reverse();
  if (runtime.includes("/") || !name || !version) {
    // Clients look for the first three words, which containerd says as well.
    throw invalidArgument(
      `invalid runtime name "${runtime}": give one like "io.containerd.runc.v2", or an absolute path`,
    );
  }
  return `containerd-shim-${name}-${version}`;
}

/**
 * Finds the program: an absolute path as it is, else by its name in $PATH, then beside the daemon's own program.
 *
 * @throws InvalidArgument (see `shimBinaryName`); NotFound
 */
export function findShimBinary(runtime: string, options: { path?: string; beside: string }): string {
  const { path = process.env.PATH ?? "", beside } = options;
  if (isAbsolute(runtime)) {
    if (isExecutable(runtime)) return runtime;
    throw notFound(`runtime "${runtime}" is not an executable file`);
  }
  const name = shimBinaryName(runtime);
  for (const directory of [...path.split(":"), beside]) {
    const candidate = join(directory, name);
    if (isAbsolute(directory) && isExecutable(candidate)) return candidate;
  }
  throw notFound(`runtime "${runtime}": its shim "${name}" is not in $PATH: install it, or name its path`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
