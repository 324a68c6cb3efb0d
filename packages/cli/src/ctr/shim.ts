import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isatty } from "node:tty";
import { jsonTypes } from "@hull/api/typeurl";
import { Pump, readShared } from "@hull/client/io/pump";
import { enterRawMode, watchSize } from "@hull/client/io/terminal";
import { type Bootstrap, Bundle, parseBootstrap } from "@hull/engine/runtime/bundle";
import { connectShim, type TaskClient, taskClient } from "@hull/engine/runtime/shim-connection";
import { HullError, isCode } from "@hull/errors";
import type { FlagValues, Host } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { CtrError } from "./errors.ts";
import type { shimExec, shimFlags, shimShutdown, shimState } from "./flags.ts";
import type { globalFlags } from "./globals.ts";
import { goJson, messageToGo } from "./go-json.ts";

/** What a group's flags say is among the globals of its commands. */
type ShimGlobals = FlagValues<typeof globalFlags> & FlagValues<typeof shimFlags>;

/** Runs `work` with the Task service of the shim that the group's flags name. */
async function withShim(
  globals: object,
  version: number | undefined,
  work: (task: TaskClient, id: string) => Promise<void>,
): Promise<number> {
  const { id = "", "shim-address": address, namespace, address: daemon } = globals as ShimGlobals;
  if (id === "" && address === undefined)
    throw new CtrError("shim ID (--id) or address (--shim-address) must be specified");
  const found = address === undefined ? bootstrapOf(daemon, namespace, id) : plain(address);
  const bootstrap = version === undefined ? found : { ...found, version };
  try {
    const shim = await connectShim(bootstrap);
    await using connection = shim.connection;
    void connection;
    await work(taskClient(shim, namespace), id);
  } catch (error) {
    if (!isCode(error, "unavailable")) throw error;
    const shown = HullError.from(error).message;
    throw new CtrError(`fail to connect to container ${id}'s shim: ${shown}`);
  }
  return 0;
}

const plain = (address: string): Bootstrap => ({
  version: 3,
  address: address.includes("://") ? address : `unix://${address}`,
  protocol: "ttrpc",
});

/**
 * How to reach a container's shim: as it is written in its bundle, which lies beside the daemon's socket where the daemon has not been
 * told otherwise; else as containerd's shims name their sockets.
 */
function bootstrapOf(daemon: string, namespace: string, id: string): Bootstrap {
  const socket = resolve(daemon.replace(/^unix:(\/\/)?/, ""));
  const { path } = new Bundle({ root: "/", state: dirname(socket) }, namespace, id);
  for (const file of ["bootstrap.json", "address"]) {
    const written = join(path, file);
    const bootstrap = existsSync(written) ? parseBootstrap(readFileSync(written, "utf8")) : undefined;
    if (bootstrap !== undefined) return bootstrap;
  }
  const hash = createHash("sha256")
    .update(join(socket, namespace, id))
    .digest("hex");
  const address = `/run/containerd/s/${hash}`;
  if (!existsSync(address))
    throw new CtrError(`fail to connect to container ${id}'s shim: it has no socket; try --shim-address`);
  return { version: 2, address: `unix://${address}`, protocol: "ttrpc" };
}

export const start: CtrAction = ({ globals }) =>
  withShim(globals, undefined, async (task, id) => {
    await task.start({ id });
  });

export const remove: CtrAction = ({ globals, host }) =>
  withShim(globals, undefined, async (task, id) => {
    const { exitStatus } = await task.delete({ id });
    await host.out(`container deleted and returned exit status ${exitStatus}\n`);
  });

export const shutdown: CtrAction<typeof shimShutdown> = ({ flags, given, globals }) =>
  withShim(globals, versionOf(flags, given), async (task, id) => {
    await task.shutdown({ id });
  });

export const state: CtrAction<typeof shimState> = ({ flags, given, globals, host }) =>
  withShim(globals, versionOf(flags, given), async (task, id) => {
    const state = await task.state({ id: flags["task-id"] ?? id });
    await host.out(`${goJson(messageToGo(state), "    ")}\n`);
  });

/** What the shim said of itself counts unless another version is asked for. @throws CtrError */
function versionOf(flags: { "api-version": number }, given: ReadonlySet<string>): number | undefined {
  const version = flags["api-version"];
  if (version !== 2 && version !== 3) throw new CtrError(`api version must be 2 or 3: ${version}`);
  return given.has("api-version") ? version : undefined;
}

export const exec: CtrAction<typeof shimExec> = ({ flags, args: [execId = ""], globals, host }) => {
  if (execId === "") throw new CtrError("exec id must be provided");
  const spec = processOf(flags);
  return withShim(globals, undefined, async (task, id) => {
    const { tty, attach, stdin = "", stdout = "", stderr = "" } = flags;
    using ends = new DisposableStack();
    const paths = { stdin, stdout, stderr, terminal: tty };
    const pump = attach ? ends.use(new Pump(paths, ownStreams(host))) : undefined;
    const value = new TextEncoder().encode(JSON.stringify(spec));
    await task.exec({ id, execId, stdin, stdout, stderr, terminal: tty, spec: { typeUrl: jsonTypes.process, value } });
    const { pid } = await task.start({ id, execId });
    await host.out(`exec running with pid ${pid}\n`);
    if (pump === undefined) return;
    if (tty && isatty(0)) {
      ends.use(enterRawMode(0));
      ends.use(
        watchSize(0, async ({ columns, rows }) => {
          await task.resizePty({ id, execId, width: columns, height: rows });
        }),
      );
    }
    pump.start(Promise.resolve(), async () => {
      await task.closeIO({ id, execId, stdin: true });
    });
    await task.wait({ id, execId });
    await pump.drained();
  });
};

function ownStreams(host: Host) {
  const stderr = async (chunk: Uint8Array): Promise<void> => host.err(new TextDecoder().decode(chunk));
  return { stdin: readShared(0, { keepAlive: false }), stdout: (chunk: Uint8Array) => host.out(chunk), stderr };
}

/** The OCI process of the file that `--spec` names, with what other flags say of it. @throws CtrError */
function processOf({ spec: file = "", env, cwd }: FlagValues<typeof shimExec>): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const why =
      error instanceof Error && "code" in error && error.code === "ENOENT" ? "no such file or directory" : error;
    throw new CtrError(`open ${file}: ${why instanceof Error ? why.message : why}`);
  }
  if (typeof document !== "object" || document === null) throw new CtrError(`"${file}" is not an OCI process`);
  const process = document as Record<string, unknown>;
  const before = Array.isArray(process.env) ? process.env : [];
  return { ...process, ...(env.length > 0 ? { env: [...before, ...env] } : {}), ...(cwd === undefined ? {} : { cwd }) };
}
