/**
 * Logs of containers: files on the daemon's host, that a container's shim writes what the container prints into. Whoever starts a container with
 * a log says where it is in a label of the record, so that every client finds it.
 *
 *   label ──► LogPlace ──► readLog: bytes as they are in the files
 *                    └──► readEntries: lines, with their outputs and times where the log has them
 *
 * Two kinds of files: with `times` in the URI's query hull's shim notes for each line when it came, and by which output; without, or by
 * another's shim, the file is what was printed.
 */
export { millisOf, readEntries } from "./entries.ts";
export { logLabel, logPlaceOf, prepareLog, removeLog } from "./place.ts";
