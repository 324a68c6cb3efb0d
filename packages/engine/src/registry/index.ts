import type { Descriptor } from "@hull/oci/descriptor";

/**
 * A client of one image repository, per the OCI distribution spec.
 *
 *   resolver.resolve(ref) ──► name, descriptor ──► fetch(descriptor) ──► bytes
 *
 * Built as layers around one request function (retry, auth, mirrors); holds tokens, no other state.
 */
export interface Registry {
  /** @throws NotFound; InvalidArgument for a bad reference; Unavailable, Unauthenticated, PermissionDenied from the registry */
  resolve(reference: string, signal: AbortSignal): Promise<{ name: string; descriptor: Descriptor }>;
  /** The blob's bytes from `offset` on. Resumes a broken connection by itself. @throws as resolve */
  fetch(
    reference: string,
    descriptor: Descriptor,
    options: { offset?: number; signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>>;
}

export type { Credentials, CredentialsProvider } from "./auth.ts";
export { openRegistry, type RegistryOptions } from "./client.ts";
export { defaultHosts, type HostCapability, type HostsProvider, isLocalhost, type RegistryHost } from "./hosts.ts";
export { type HostsFileOptions, hostsFromDirectories } from "./hosts-file.ts";
export { defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
