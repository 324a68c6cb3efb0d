/** The shim's command line. Each action loads what it needs, and no more. */

import { invalidArgument } from "@hull/errors";
import { parseShimFlags } from "./flags.ts";

const version = "0.1.0";

/**
 * Runs the shim.
 *
 *   [flags] start | delete   as daemons call it (containerd's runtime v2)
 *   -socket PATH spare       hull's own way: waits to be assigned
 *   [flags] -socket PATH     the serving process itself
 *
 * @param args what stands behind the program's name
 * @param self command line that leads here again
 * @returns the exit code of an action; serving goes on until the process ends itself
 */
export async function shimMain(args: readonly string[], self: readonly string[]): Promise<number | undefined> {
  try {
    return await run(args, self);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function run(args: readonly string[], self: readonly string[]): Promise<number | undefined> {
  const flags = parseShimFlags(args);
  if (flags.version) {
    await Bun.write(Bun.stdout, `hull shim ${version}\n`);
    return 0;
  }
  if (flags.info) {
    const { infoAction } = await import("./info.ts");
    await Bun.write(Bun.stdout, await infoAction(version, await Bun.stdin.bytes()));
    return 0;
  }
  switch (flags.action) {
    case "start": {
      const { startAction } = await import("./start.ts");
      await Bun.write(Bun.stdout, await startAction(flags, await Bun.stdin.bytes(), self));
      return 0;
    }
    case "delete": {
      const { deleteAction } = await import("./delete.ts");
      await Bun.write(Bun.stdout, await deleteAction(flags));
      return 0;
    }
    case "spare": {
      const { serveAsSpare } = await import("./spare.ts");
      await serveAsSpare(flags.socket);
      return undefined;
    }
    case "": {
      const { detachStdio, serve } = await import("./serve.ts");
      const eventsAddress = process.env.TTRPC_ADDRESS ?? (flags.address === "" ? "" : `${flags.address}.ttrpc`);
      const identity = Promise.resolve({ namespace: flags.namespace, eventsAddress });
      await serve(flags.socket, () => identity);
      await Bun.write(Bun.stdout, "ready\n");
      detachStdio(0, 1, 2);
      return undefined;
    }
    default:
      throw invalidArgument(`action "${flags.action}" is not known to the shim: use start or delete`);
  }
}
