/**
 * The unpacker: a process of its own that turns one layer, read from standard input, into files below one directory.
 *
 * It shuts itself into the directory before it reads the first byte, so whatever the layer holds, nothing outside is reached;
 * it uses a fixed amount of memory, and ends with the process that started it.
 */

import { constants, readSync, writeSync } from "node:fs";
import { HullError } from "@hull/errors";
import { SysError } from "@hull/sys/errno";
import { open } from "@hull/sys/fd";
import { umask } from "@hull/sys/files";
import { lastErrno, libc } from "@hull/sys/libc";
import { setParentDeathSignal } from "@hull/sys/process";
import { decompress } from "../compression/index.ts";
import type { Outcome } from "../outcome.ts";
import { TarParser } from "../tar/index.ts";
import { confine, inUserNamespace, makingFiles } from "./confine.ts";
import { LowerLayers } from "./lower.ts";
import { fromArguments, type Progress, type UnpackRequest } from "./protocol.ts";
import { Tree } from "./tree.ts";
import { OverlayWhiteouts, PlainWhiteouts } from "./whiteouts.ts";

const SIGKILL = 9;
/** Milliseconds between two reports. */
const progressInterval = 100;

/** Does what the command line says, and tells on standard output how it went. */
export async function runUnpacker(argv: readonly string[]): Promise<void> {
  let outcome: Outcome;
  try {
    setParentDeathSignal(SIGKILL);
    outcome = await unpack(fromArguments(argv), reportProgress());
  } catch (thrown) {
    const { code, message } = HullError.from(thrown);
    outcome = { error: { code, message } };
  }
  say(outcome);
}

async function unpack(request: UnpackRequest, progress: (bytes: number) => void): Promise<Outcome> {
  const opaque = request.whiteouts === "overlay-user" ? "user.overlay.opaque" : "trusted.overlay.opaque";
  const lower = request.lower.length > 0 ? new LowerLayers(request.lower, opaque) : undefined;
  const devices = !inUserNamespace();
  confine(request.target, makingFiles);
  umask(0);

  const whiteouts = request.whiteouts === "plain" ? new PlainWhiteouts() : new OverlayWhiteouts(opaque);
  const tree = new Tree({ whiteouts, lower, devices });
  const parser = new TarParser(tree);
  const hash = new Bun.CryptoHasher("sha256");
  const take = (bytes: Uint8Array) => {
    hash.update(bytes);
    parser.push(bytes);
  };
  await decompress((into) => readSync(0, into, 0, into.length, null), take, progress);
  parser.end();
  tree.close();
  if (request.sync) syncRoot();
  return { diffId: `sha256:${hash.digest("hex")}`, size: parser.position };
}

function syncRoot(): void {
  const root = open("/", constants.O_RDONLY);
  if (libc.syncfs(root) === -1) throw new SysError(lastErrno(), "syncfs", "of the target");
}

function reportProgress(): (bytes: number) => void {
  let next = performance.now() + progressInterval;
  return (read) => {
    const now = performance.now();
    if (now < next) return;
    next = now + progressInterval;
    say({ read });
  };
}

function say(what: Progress | Outcome): void {
  const bytes = Buffer.from(`${JSON.stringify(what)}\n`);
  for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written);
}

if (import.meta.main) await runUnpacker(process.argv.slice(2));
