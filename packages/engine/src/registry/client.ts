import { HullError, invalidArgument, isCode, unimplemented } from "@hull/errors";
import {
  type Descriptor,
  Digester,
  isDigest,
  isForeignLayer,
  isIndex,
  isManifest,
  maxManifestSize,
  mediaTypes,
  parseDigest,
  parseReference,
  type Reference,
} from "@hull/oci";
import { errorOf } from "./answers.ts";
import { type CredentialsProvider, withAuth } from "./auth.ts";
import { openBody } from "./body.ts";
import { withDialTimeout } from "./dial.ts";
import { Endpoints } from "./endpoints.ts";
import { withHttpFallback } from "./fallback.ts";
import type { HostsProvider, RegistryHost } from "./hosts.ts";
import type { Registry } from "./index.ts";
import { fetchPieces } from "./pieces.ts";
import { pushObject } from "./push.ts";
import { withRedirects } from "./redirect.ts";
import { listReferrers } from "./referrers.ts";
import { discard, displayUrl, type RegistryRequest, type Send, sendByFetch } from "./request.ts";
import { defaultRetryPolicy, type RetryPolicy, withRetry } from "./retry.ts";

export interface RegistryOptions {
  /** Default: each domain's own registry by HTTPS. */
  hosts?: HostsProvider;
  /** Default: anonymous. */
  credentials?: CredentialsProvider;
  /** Sent with each request to a registry. */
  headers?: Readonly<Record<string, string>>;
  userAgent?: string;
  retry?: RetryPolicy;
  /** ms without a byte after which a connection is given up for another: 60000. */
  stallTimeout?: number;
  /** Blobs of more than `piece` bytes are fetched in pieces of that size by so many connections; by one unless told. */
  pieces?: { piece: number; connections: number };
  /** What sends in the end: fetch. */
  send?: Send;
}

/** Opens a client for all registries. It holds what it learned of them (tokens, plain HTTP), nothing that needs closing. */
export function openRegistry(options: RegistryOptions = {}): Registry {
  const endpoints = new Endpoints(layersOf(options), options);
  const client = new Client(endpoints, options);
  return {
    resolve: (reference, signal, first) => client.resolve(reference, signal, first),
    fetch: (reference, descriptor, { offset = 0, signal }) => client.fetch(reference, descriptor, offset, signal),
    referrers: (reference, subject, options) => listReferrers(endpoints, reference, subject, options),
    push: (reference, descriptor, source) => pushObject(endpoints, reference, descriptor, source),
  };
}

/**
 * Asks a registry whether it knows who we are, as before credentials are kept.
 * @throws Unauthenticated or PermissionDenied if it doesn't; as Registry.resolve
 */
export async function checkAccess(domain: string, options: RegistryOptions, signal: AbortSignal): Promise<void> {
  const endpoints = new Endpoints(layersOf(options), options);
  await endpoints.firstOf({ domain, path: "" }, "resolve", async (host) => {
    const url = new URL(`${host.scheme}://${host.host}${host.path}/`);
    const headers = endpoints.headers(host);
    const response = await endpoints.send({ method: "GET", url, headers, signal, host, patience: "quick" });
    if (!response.ok) throw await errorOf(response, "GET", url);
    await discard(response);
  });
}

/** What sends, with all that makes requests succeed around it. */
function layersOf(options: RegistryOptions): Send {
  return withRetry(
    withRedirects(withAuth(withHttpFallback(withDialTimeout(options.send ?? sendByFetch)), options.credentials)),
    options.retry ?? defaultRetryPolicy,
  );
}

class Client {
  readonly #endpoints: Endpoints;
  readonly #stallTimeout: number;
  readonly #pieces: RegistryOptions["pieces"];

  constructor(endpoints: Endpoints, { stallTimeout = 60_000, pieces }: RegistryOptions) {
    this.#endpoints = endpoints;
    this.#stallTimeout = stallTimeout;
    this.#pieces = pieces;
  }

  async resolve(
    text: string,
    signal: AbortSignal,
    first: "manifest" | "blob" = "manifest",
  ): Promise<{ name: string; descriptor: Descriptor }> {
    const reference = parseReference(text);
    const object = reference.digest ?? reference.tag;
    if (object === undefined) throw invalidArgument(`reference "${text}" has neither a tag nor a digest`);
    const descriptor = await this.#endpoints.firstOf(reference, "resolve", (host) =>
      this.#resolveAt(host, reference, object, signal, first),
    );
    return { name: text, descriptor };
  }

  async #resolveAt(
    host: RegistryHost,
    reference: Reference,
    object: string,
    signal: AbortSignal,
    first: "manifest" | "blob",
  ): Promise<Descriptor> {
    const paths = [`manifests/${object}`, ...(reference.digest === undefined ? [] : [`blobs/${object}`])];
    if (first === "blob") paths.reverse();
    let failure: unknown;
    for (const path of paths) {
      try {
        return await this.#describe(host, reference, path, object, signal);
      } catch (error) {
        if (!isCode(error, "notFound")) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async #describe(
    host: RegistryHost,
    reference: Reference,
    path: string,
    object: string,
    signal: AbortSignal,
  ): Promise<Descriptor> {
    const head = this.#endpoints.request(host, reference, path, "HEAD", signal);
    const response = await this.#endpoints.send(head);
    await discard(response);
    const digest = response.headers.get("docker-content-digest") ?? (isDigest(object) ? object : undefined);
    const length = response.headers.get("content-length");
    // Some registries don't do HEAD, or leave out what it is asked for.
    if (response.status === 405 || (response.ok && (digest === undefined || length === null)))
      return this.#describeByContent(host, reference, path, object, signal);
    if (!response.ok) throw await errorOf(response, "HEAD", head.url);
    return this.#checked(head.url, object, {
      mediaType: mediaTypeOf(response),
      digest: digest ?? "",
      size: Number(length),
    });
  }

  async #describeByContent(
    host: RegistryHost,
    reference: Reference,
    path: string,
    object: string,
    signal: AbortSignal,
  ): Promise<Descriptor> {
    const get = this.#endpoints.request(host, reference, path, "GET", signal);
    const response = await this.#endpoints.send(get);
    if (!response.ok) throw await errorOf(response, "GET", get.url);
    const digester = new Digester(isDigest(object) ? parseDigest(object).algorithm : "sha256");
    let size = 0;
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > maxManifestSize) break;
      digester.update(chunk);
    }
    return this.#checked(get.url, object, { mediaType: mediaTypeOf(response), digest: digester.digest(), size });
  }

  #checked(url: URL, object: string, descriptor: Descriptor): Descriptor {
    const what = `"${displayUrl(url)}"`;
    const { mediaType, digest, size } = descriptor;
    parseDigest(digest);
    if (isDigest(object) && object !== digest)
      throw invalidArgument(`${what} is answered with the digest "${digest}" instead`);
    if (
      mediaType === mediaTypes.dockerSchema1 ||
      mediaType === mediaTypes.dockerSchema1Signed ||
      mediaType === "text/plain"
    )
      throw unimplemented(`${what} is a manifest of Docker's schema 1 ("${mediaType}"): build or push the image again`);
    if (!Number.isSafeInteger(size) || size < 0) throw invalidArgument(`${what} has the malformed size "${size}"`);
    if (url.pathname.includes("/manifests/") && size > maxManifestSize)
      throw invalidArgument(`${what} has ${size} bytes: a manifest may have at most ${maxManifestSize}`);
    return descriptor;
  }

  async fetch(
    text: string,
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const reference = parseReference(text);
    parseDigest(descriptor.digest);
    const elsewhere = isForeignLayer(descriptor.mediaType) ? (descriptor.urls ?? []) : [];
    for (const address of elsewhere) {
      try {
        return await this.#body(descriptor, offset, signal, (headers, own) => foreignRequest(address, headers, own));
      } catch (error) {
        if (signal.aborted || !(error instanceof HullError)) throw error;
      }
    }
    const manifest = isManifest(descriptor.mediaType) || isIndex(descriptor.mediaType);
    const kinds = manifest ? ["manifests", "blobs"] : ["blobs", "manifests"];
    return this.#endpoints.firstOf(reference, "pull", async (host) => {
      let failure: unknown;
      for (const kind of kinds) {
        try {
          return await this.#body(descriptor, offset, signal, (headers, own) =>
            this.#endpoints.request(host, reference, `${kind}/${descriptor.digest}`, "GET", own, {
              patience: "patient",
              headers,
            }),
          );
        } catch (error) {
          if (!isCode(error, "notFound")) throw error;
          failure ??= error;
        }
      }
      throw failure;
    });
  }

  async #body(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
    make: MakeRequest,
  ): Promise<AsyncIterable<Uint8Array>> {
    const pieces = this.#pieces;
    if (pieces === undefined || descriptor.size - offset <= pieces.piece || !(await this.#knowsRanges(make, signal)))
      return this.#range(descriptor, offset, undefined, signal, make);
    const open = (from: number, to: number) => this.#range({ ...descriptor, size: to }, from, to, signal, make);
    return fetchPieces({ descriptor, offset, open, ...pieces });
  }

  async #knowsRanges(make: MakeRequest, signal: AbortSignal): Promise<boolean> {
    const request = make({ range: "bytes=0-0" }, signal);
    const response = await this.#endpoints.send(request);
    if (!response.ok) throw await errorOf(response, "GET", request.url);
    await discard(response);
    return response.status === 206;
  }

  /** The bytes from `offset` to the end of what the descriptor says, which is `to` where that isn't the end of the blob. */
  #range(
    descriptor: Descriptor,
    offset: number,
    to: number | undefined,
    signal: AbortSignal,
    make: MakeRequest,
  ): Promise<AsyncIterable<Uint8Array>> {
    return openBody({
      descriptor,
      offset,
      signal,
      stallTimeout: this.#stallTimeout,
      open: async (from, own) => {
        const end = to === undefined ? "" : String(to - 1);
        const request = make(from > 0 || to !== undefined ? { range: `bytes=${from}-${end}` } : {}, own);
        const response = await this.#endpoints.send(request);
        if (response.ok) return response;
        throw await errorOf(response, "GET", request.url);
      },
    });
  }
}

type MakeRequest = (headers: Record<string, string>, signal: AbortSignal) => RegistryRequest;

function foreignRequest(address: string, headers: Record<string, string>, signal: AbortSignal): RegistryRequest {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw invalidArgument(`a layer's address "${address.slice(0, 200)}" is not a web address`);
  const scheme = url.protocol === "https:" ? "https" : "http";
  return {
    method: "GET",
    url,
    headers: { "accept-encoding": "identity", ...headers },
    signal,
    host: { scheme, host: url.host, path: "", capabilities: ["pull"] },
    patience: "quick",
  };
}

function mediaTypeOf(response: Response): string {
  const type = response.headers.get("content-type")?.split(";", 1)[0]?.trim();
  return type === undefined || type === "" ? "application/octet-stream" : type;
}
