import type { Descriptor } from "@hull/oci/descriptor";

/**
 * A client of one image repository, per the OCI distribution spec.
 *
 *   resolver.resolve(ref) ──► name, descriptor ──► fetch(descriptor) ──► bytes
 *
 * Built as layers around one request function (retry, auth, mirrors); holds tokens, no other state.
 */
export interface Registry {
  /**
   * @param first what a digest is looked for as first
   * @throws NotFound; InvalidArgument for a bad reference; Unavailable, Unauthenticated, PermissionDenied from the registry
   */
  resolve(
    reference: string,
    signal: AbortSignal,
    first?: "manifest" | "blob",
  ): Promise<{ name: string; descriptor: Descriptor }>;
  /** The blob's bytes from `offset` on. Resumes a broken connection by itself. @throws as resolve */
  fetch(
    reference: string,
    descriptor: Descriptor,
    options: { offset?: number; signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>>;
  /**
   * Uploads one blob or manifest, a manifest under the reference's tag if it is the one that is named so; what is there already isn't sent.
   * An upload that breaks is gone on with. @throws as resolve
   */
  push(reference: string, descriptor: Descriptor, source: PushSource): Promise<PushResult>;
  /**
   * What refers to a manifest, such as its signatures, by the registry's list or else by the tag that stands for it.
   * @throws as resolve, but nothing if there are none
   */
  referrers(
    reference: string,
    subject: string,
    options: { artifactType?: string; signal: AbortSignal },
  ): Promise<Descriptor[]>;
}

/** Where the bytes of a push come from, and what is known of them. */
export interface PushSource {
  /** So many bytes of it from `offset`, fewer only at its end. */
  read(offset: number, size: number): Promise<Uint8Array>;
  /** True for the manifest that the reference's tag names. */
  tagged?: boolean;
  /** A repository of the same registry that has the blob. */
  mountFrom?: string;
  /** Told of the bytes that have arrived. */
  progress?: (bytes: number) => void;
  signal: AbortSignal;
}

/** `exists`: it was there; `mounted`: taken over from another repository; `pushed`: sent. */
export type PushResult = "exists" | "mounted" | "pushed";

export type { Credentials, CredentialsProvider } from "./auth.ts";
export { checkAccess, openRegistry, type RegistryOptions } from "./client.ts";
export { dockerCredentials, eraseCredentials, storeCredentials } from "./docker-config.ts";
export { type DumpWriter, withDump, withTrace } from "./dump.ts";
export { defaultHosts, type HostCapability, type HostsProvider, isLocalhost, type RegistryHost } from "./hosts.ts";
export { type HostsFileOptions, hostsFromDirectories } from "./hosts-file.ts";
export { type Send, sendByFetch } from "./request.ts";
export { defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
