/**
 * The system layer: what hull asks of the kernel and the runtime's own library doesn't offer.
 *
 * Every call that fails throws a `SysError`. Each part can be imported by itself ("@hull/sys/mount"), which is what a
 * program that must start fast does. Unless it returns a promise, a function here makes its call at once on the calling
 * thread; those that may block say so. Descriptors are numbers; one that a function returns is the caller's to close.
 */

export * from "./cgroup.ts";
export * from "./cgroup-stats.ts";
export * from "./credentials.ts";
export * from "./errno.ts";
export * from "./fd.ts";
export * from "./files.ts";
export * from "./inotify.ts";
export * from "./interface.ts";
export * from "./lock.ts";
export * from "./memory.ts";
export * from "./mount.ts";
export * from "./mount-support.ts";
export * from "./namespace.ts";
export * from "./process.ts";
export * from "./resolve.ts";
export * from "./socket.ts";
export * from "./spawn.ts";
export * from "./stream.ts";
export * from "./terminal.ts";
export * from "./watch.ts";
