/**
 * The runtime spec of a container, built in steps without I/O:
 *
 *     const user = resolveUser(image.config.user, { passwd, group });
 *     buildSpec(defaultSpec({ namespace, id }), withImageConfig(image, args), withUser(user), withTty);
 *
 * What the steps need from the host or the rootfs (texts of files, devices, capabilities) is given to them.
 */

export * from "./spec/default.ts";
export * from "./spec/middlewares.ts";
export * from "./spec/seccomp.ts";
export * from "./spec/types.ts";
export * from "./spec/user.ts";
