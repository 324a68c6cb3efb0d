/** The shim's command line, as daemons write it: Go's flags (`-name value`, `-name=value`, one or two dashes), then an action. */

import { invalidArgument } from "@hull/errors";

/** What the command line says. */
export interface ShimFlags {
  namespace: string;
  id: string;
  /** The daemon's gRPC socket. */
  address: string;
  publishBinary: string;
  bundle: string;
  socket: string;
  debug: boolean;
  version: boolean;
  info: boolean;
  /** `start`, `delete`, or empty to serve. */
  action: string;
}

const valued = {
  namespace: "namespace",
  id: "id",
  address: "address",
  "publish-binary": "publishBinary",
  bundle: "bundle",
  socket: "socket",
} as const;

const switches = { debug: "debug", v: "version", version: "version", info: "info" } as const;

/** @throws InvalidArgument for a flag that is not known or lacks its value */
export function parseShimFlags(args: readonly string[]): ShimFlags {
  const flags: ShimFlags = {
    namespace: "",
    id: "",
    address: "",
    publishBinary: "",
    bundle: "",
    socket: "",
    debug: false,
    version: false,
    info: false,
    action: "",
  };
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name, , value] = /^--?([a-z-]+)(=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) {
      flags.action = word;
      continue;
    }
    if (Object.hasOwn(switches, name)) {
      flags[switches[name as keyof typeof switches]] = value === undefined || value === "true";
    } else if (Object.hasOwn(valued, name)) {
      const given = value ?? rest.shift();
      if (given === undefined) throw invalidArgument(`flag "-${name}" needs a value`);
      flags[valued[name as keyof typeof valued]] = given;
    } else {
      throw invalidArgument(`flag "-${name}" is not known to the shim`);
    }
  }
  return flags;
}
