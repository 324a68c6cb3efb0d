import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { FlagValues } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { CtrError } from "./errors.ts";
import type { pprofFlags, pprofGoroutines, pprofProfile, pprofTrace } from "./flags.ts";

/** Prints a profile that a daemon serves on its debug socket. hull's own has one where its configuration names it. */
const print =
  (name: string): CtrAction<typeof pprofGoroutines> =>
  async ({ flags, globals, host }) => {
    await copy(socketOf(globals), `${name}?debug=${flags.debug}`, host.out);
    return 0;
  };

export const goroutines = print("goroutine");
export const heap = print("heap");
export const block = print("block");
export const threadcreate = print("threadcreate");

/** The same over a time. */
const record =
  (name: string): CtrAction<typeof pprofProfile | typeof pprofTrace> =>
  async ({ flags, globals, host }) => {
    await copy(socketOf(globals), `${name}?seconds=${Math.round(flags.seconds / 1000)}&debug=${flags.debug}`, host.out);
    return 0;
  };

export const profile = record("profile");
export const trace = record("trace");

/** A group's flags are among the globals of its commands. */
function socketOf(globals: object): string {
  return (globals as FlagValues<typeof pprofFlags>)["debug-socket"];
}

async function copy(socket: string, path: string, out: (data: Uint8Array) => Promise<void>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const name = path.replace(/\?.*/, "");
  const sent = request({ socketPath: socket, path: `/debug/pprof/${path}` }, async (response) => {
    try {
      if (response.statusCode !== 200) {
        const said = (await text(response)).trim();
        throw new CtrError(
          `http get failed with status: ${response.statusCode} ${response.statusMessage}${said && ": "}${said}`,
        );
      }
      for await (const chunk of response) await out(chunk);
      resolve();
    } catch (error) {
      reject(error);
    }
  });
  sent.once("error", (error) => {
    const why = "code" in error && error.code === "ENOENT" ? "no such file or directory" : error.message;
    reject(new CtrError(`Get "http://./debug/pprof/${name}": dial unix ${socket}: connect: ${why}`));
  });
  sent.end();
  await promise;
}
