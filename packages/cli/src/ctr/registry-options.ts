import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { PullOptions } from "@hull/client/transfer";
import {
  type Credentials,
  hostsFromDirectories,
  openRegistry,
  type Registry,
  sendByFetch,
  withDump,
  withTrace,
} from "@hull/engine/registry/index";
import type { FlagValues, Host } from "../command/index.ts";
import { CtrError } from "./errors.ts";
import type { registryFlags } from "./flags.ts";

/** What the flags say of how a registry is spoken to; a directory for the daemon to read is there until it is disposed. */
export function registryOptions(
  flags: FlagValues<typeof registryFlags>,
  host: Host,
): Pick<PullOptions, "plainHttp" | "hostDirectory" | "credentials" | "onHttp" | "traceHttp"> & Disposable {
  const directory = tlsDirectory(flags);
  const hosts = flags["hosts-dir"] === undefined ? directory : resolve(flags["hosts-dir"]);
  return {
    plainHttp: flags["plain-http"],
    ...(hosts === undefined ? {} : { hostDirectory: hosts }),
    ...credentialsOf(flags.user, flags.refresh),
    ...(flags["http-dump"] ? { onHttp: dumpTo(host) } : {}),
    traceHttp: flags["http-trace"],
    [Symbol.dispose]: () => {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Not on the standard output, which may be what is fetched. */
function dumpTo(host: Host): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder();
  return (bytes) => host.err(decoder.decode(bytes, { stream: true }));
}

/** The daemon takes certificates only by a directory of hosts: one for all hosts is made, where the flags name any. */
function tlsDirectory(flags: FlagValues<typeof registryFlags>): string | undefined {
  const { tlscacert, tlscert, tlskey, "skip-verify": skipVerify } = flags;
  if (tlscacert === undefined && tlscert === undefined && tlskey === undefined && !skipVerify) return undefined;
  if (flags["hosts-dir"] !== undefined)
    throw new CtrError("--hosts-dir can't be given with flags of TLS: write them into its hosts.toml");
  if ((tlscert === undefined) !== (tlskey === undefined))
    throw new CtrError("--tlscert and --tlskey have to be given together");
  const lines = [
    `skip_verify = ${skipVerify}`,
    ...(tlscacert === undefined ? [] : [`ca = ${JSON.stringify(resolve(tlscacert))}`]),
    ...(tlscert === undefined || tlskey === undefined
      ? []
      : [`client = [[${JSON.stringify(resolve(tlscert))}, ${JSON.stringify(resolve(tlskey))}]]`]),
  ];
  const directory = mkdtempSync(join(tmpdir(), "ctr-hosts-"));
  mkdirSync(join(directory, "_default"));
  writeFileSync(join(directory, "_default", "hosts.toml"), `${lines.join("\n")}\n`);
  return directory;
}

function credentialsOf(user: string | undefined, refresh: string | undefined): Pick<PullOptions, "credentials"> {
  if (refresh !== undefined) return { credentials: { refreshToken: refresh } };
  if (user === undefined) return {};
  const colon = user.indexOf(":");
  if (colon < 0) throw new CtrError(`--user "${user}" has no password: write "user:password"`);
  return { credentials: { username: user.slice(0, colon), secret: user.slice(colon + 1) } };
}

/** A client of registries in this process, as the flags say. */
export function ownRegistry(
  { plainHttp, hostDirectory, credentials, onHttp, traceHttp }: ReturnType<typeof registryOptions>,
  host: Host,
): Registry {
  const encoder = new TextEncoder();
  const dumped = onHttp === undefined ? sendByFetch : withDump(sendByFetch, (text) => onHttp(encoder.encode(text)));
  return openRegistry({
    send: traceHttp === true ? withTrace(dumped, (line) => host.err(`${line}\n`)) : dumped,
    hosts: hostsFromDirectories(hostDirectory === undefined ? [] : [hostDirectory], { plainHttp }),
    credentials: async (host) => {
      const own = typeof credentials === "function" ? await credentials(host) : credentials;
      if (own === undefined || !("refreshToken" in own)) return own;
      return { identityToken: own.refreshToken } satisfies Credentials;
    },
  });
}
