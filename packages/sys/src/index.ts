/**
 * The system layer: what hull asks of the kernel and the runtime's own library doesn't offer.
 *
 * Every call that fails throws a `SysError`. Each part can be imported by itself ("@hull/sys/mount"), which is what a
 * program that must start fast does. Functions here act on the whole process, at once, on the calling thread; those that
 * may block say so.
 */

export * from "./errno.ts";
export * from "./fd.ts";
export * from "./files.ts";
export * from "./mount.ts";
export * from "./process.ts";
export * from "./socket.ts";
