import { nearest } from "@hull/engine/plugin/nearest";
import { invalidArgument } from "@hull/errors";
import { defaults } from "./config/catalogue.ts";

/** What the command line says; what it leaves out comes from the configuration. */
export interface DaemonFlags {
  config?: string;
  address?: string;
  root?: string;
  state?: string;
  logLevel?: string;
  help?: boolean;
  version?: boolean;
  /** `stop`, `config default`, `config dump`, `config migrate`. */
  command: readonly string[];
}

type TextFlag = "config" | "address" | "root" | "state" | "logLevel";
type Switch = "help" | "version";

const textFlags: Readonly<Record<string, TextFlag>> = {
  config: "config",
  c: "config",
  address: "address",
  a: "address",
  root: "root",
  state: "state",
  "log-level": "logLevel",
  l: "logLevel",
};

const switches: Readonly<Record<string, Switch>> = { help: "help", h: "help", version: "version", v: "version" };

export const usage = `hull daemon: keeps images, snapshots and running containers, and serves containerd's API

Usage: hull daemon [flags]
       hull daemon stop [--root DIR]   ends the daemon of this root; containers go on
       hull daemon config default      the default configuration, with what each key does
       hull daemon config dump         the configuration as it is, with what it imports
       hull daemon config migrate      an older configuration in the newest form: config -c OLD migrate > NEW

  -c, --config FILE       configuration file (default: ${defaults.config}, if it is there)
  -a, --address PATH      socket of the gRPC services (default: ${defaults.address}); the ttrpc socket is the same with .ttrpc
      --root DIR          directory of what survives a reboot (default: ${defaults.root})
      --state DIR         directory of what doesn't (default: ${defaults.state})
  -l, --log-level LEVEL   trace, debug, info (the default), warn, error, fatal or panic
  -v, --version           print the version
  -h, --help              print this
`;

/** Reads the daemon's flags, with one dash or two, `--flag value` or `--flag=value`. @throws InvalidArgument */
export function parseFlags(args: readonly string[]): DaemonFlags {
  const flags: DaemonFlags & { command: string[] } = { command: [] };
  for (let i = 0; i < args.length; i++) {
    const [, name, , value] = /^--?([^=]+)(=(.*))?$/s.exec(args[i] ?? "") ?? [];
    if (name === undefined) {
      flags.command.push(args[i] ?? "");
      continue;
    }
    const text = textFlags[name];
    const toggle = switches[name];
    if (toggle !== undefined) flags[toggle] = true;
    else if (text !== undefined) {
      const given = value ?? args[++i];
      if (given === undefined) throw invalidArgument(`flag "--${name}" needs a value`);
      flags[text] = given;
    } else {
      const near = nearest(name, [...Object.keys(textFlags), ...Object.keys(switches)]);
      throw invalidArgument(`unknown flag "--${name}"${near === undefined ? "" : `; did you mean "--${near}"?`}`);
    }
  }
  return flags;
}
