/**
 * The light half of the contract: how services are called and served, errors, times, metadata, and type URLs.
 *
 * Generated messages are not here, so that a program loads only those that it uses: import them by path, for example
 * `@hull/api/gen/containerd/services/images/v1/images`.
 */
export * from "./call.ts";
export * from "./caller.ts";
export * from "./handler.ts";
export * from "./memory.ts";
export * from "./metadata.ts";
export type * from "./rpc.ts";
export * from "./status.ts";
export * from "./timestamp.ts";
export * from "./typeurl.ts";
