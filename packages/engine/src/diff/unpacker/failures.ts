import { HullError } from "@hull/errors";
import { describeErrno, errno, SysError } from "@hull/sys/errno";

/** Failures of calls on paths that come from the layer: it is the layer that is wrong. */
const layersFault: ReadonlySet<number> = new Set([
  errno.ELOOP,
  errno.ENAMETOOLONG,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EMLINK,
]);

/** Gives a failure of the work on one entry the code that it is to have outside; a failed call of the runtime gets one, too. */
export function toHullError(thrown: unknown): HullError {
  const number = errnoOf(thrown);
  if (number === undefined) return HullError.from(thrown);
  const code = layersFault.has(number) ? "invalidArgument" : describeErrno(number).code;
  return new HullError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

function errnoOf(thrown: unknown): number | undefined {
  if (thrown instanceof SysError) return thrown.errno;
  if (!(thrown instanceof Error) || !("errno" in thrown) || typeof thrown.errno !== "number") return undefined;
  return Math.abs(thrown.errno);
}
