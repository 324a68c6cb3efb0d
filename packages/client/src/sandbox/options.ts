import { invalidArgument } from "@hull/errors";
import type { StdinOption } from "../sdk/stdio.ts";

/** What keeps a sandbox's system calls from the host's kernel: gVisor's own kernel, or namespaces, capabilities and seccomp. */
export type Isolation = "gvisor" | "container";

/** A file that is given to a sandbox: its content, or that with a mode (0644 unless told). */
export type SandboxFile = string | Uint8Array | { readonly content: string | Uint8Array; readonly mode?: number };

/** Whom a sandbox may talk to. */
export interface AllowedPeer {
  /**
   * An address of IPv4 or IPv6, a range of them (`10.1.0.0/16`), or a name. A name is looked up once, by this program, and what is found is
   * what the sandbox knows by that name.
   */
  readonly address: string;
  readonly port: number;
  /** `tcp` unless told. */
  readonly protocol?: "tcp" | "udp";
}

/** What `runSandboxed` takes. Every limit has a default, and none can be switched off. */
export interface SandboxOptions {
  /** What to run, in place of the image's entry point and command. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Given to it as its standard input; nothing unless told. */
  readonly stdin?: Exclude<StdinOption, "pipe">;
  /** Files by their paths below `/work`, the directory that it starts in. */
  readonly files?: Readonly<Record<string, SandboxFile>>;
  /** Files to be taken out when it has ended, by their paths below `/work`. */
  readonly take?: readonly string[];
  /** Called with output as it comes, up to the limit. It comes in pieces: a character may be in two of them. */
  readonly onOutput?: (chunk: Uint8Array, stream: "stdout" | "stderr") => void;

  /** Time until it is killed, ms from its start: 10,000 unless told. */
  readonly timeMs?: number;
  /** Memory in bytes, of its processes and of the files that it writes: 128 MiB unless told, 16 MiB at least. */
  readonly memory?: number;
  /** Bytes that it may write to `/work` and `/tmp` together: half of the memory, 64 MiB at most, unless told. They are held in memory. */
  readonly disk?: number;
  /** Processors: 1 unless told; 0.5 is half of one's time. */
  readonly cpus?: number;
  /** Processes and threads: 64 unless told. In gVisor it may be some more, as its kernel's threads can't be told apart. */
  readonly pids?: number;
  /** Bytes of output, stdout and stderr together: 1 MiB unless told. With the first byte beyond it is killed. */
  readonly output?: number;

  /** Addresses that it may connect to; `none`, not even its own loopback's neighbours, unless told. */
  readonly network?: "none" | { readonly allow: readonly AllowedPeer[] };
  /**
   * `auto`, which is gVisor where it is installed, `gvisor`, which fails where it isn't, or `container`, which is the default: gVisor keeps
   * more out, and makes a start slower.
   */
  readonly isolation?: Isolation | "auto";
  /**
   * Whether it gets a user namespace, in which its ids are nobody's on the host: `auto` (where daemon and host can), `required`, which fails
   * where they can't, or `off`. Without one it runs by the ids of `user` on the host, without any capability.
   */
  readonly userNamespace?: "auto" | "required" | "off";
  /** `uid` or `uid:gid` to run by: 65534 (nobody) unless told. 0 is for user namespaces and gVisor. */
  readonly user?: string;

  /** When the image is fetched: if it is missing, unless told. */
  readonly pull?: "missing" | "always" | "never";
  /** Ends it: the call fails with a `canceled` error, after everything was taken away. */
  readonly signal?: AbortSignal;
}

/** The limits of one sandbox, complete. */
export interface SandboxLimits {
  readonly timeMs: number;
  readonly memory: number;
  readonly disk: number;
  readonly cpus: number;
  readonly pids: number;
  readonly output: number;
}

const mebibyte = 1 << 20;
/** Less than this the OCI runtime itself can't start in. */
const leastMemory = 16 * mebibyte;

/** @throws InvalidArgument, saying what is possible */
export function limitsOf(options: SandboxOptions): SandboxLimits {
  const memory = wholeOf("memory", options.memory ?? 128 * mebibyte, leastMemory);
  const disk = wholeOf("disk", options.disk ?? Math.min(Math.floor(memory / 2), 64 * mebibyte), 64 << 10);
  if (disk >= memory)
    throw invalidArgument(
      `limit "disk" (${disk}) must be below "memory" (${memory}): files of a sandbox are held in its memory`,
    );
  const { cpus = 1 } = options;
  if (!(cpus >= 0.01 && Number.isFinite(cpus))) throw invalidArgument(`limit "cpus" must be 0.01 or more, not ${cpus}`);
  return {
    memory,
    disk,
    cpus,
    timeMs: wholeOf("timeMs", options.timeMs ?? 10_000, 1, 2 ** 31 - 1),
    pids: wholeOf("pids", options.pids ?? 64, 1, 2 ** 22),
    output: wholeOf("output", options.output ?? mebibyte, 0),
  };
}

function wholeOf(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const bounds = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  throw invalidArgument(`limit "${name}" must be a whole number, ${bounds}, not ${value}`);
}

/** Ids to run by. @throws InvalidArgument for what isn't numbers */
export function userOf({ user = "65534:65534" }: SandboxOptions): { uid: number; gid: number } {
  const [, uid, gid] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(user) ?? [];
  const ids = { uid: Number(uid), gid: Number(gid ?? uid) };
  if (uid === undefined || ids.uid > 65_535 || ids.gid > 65_535)
    throw invalidArgument(`user "${user}" of a sandbox must be "uid" or "uid:gid", in numbers up to 65535`);
  return ids;
}
