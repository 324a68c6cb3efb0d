import { HullError, invalidArgument, isCode, unavailable, unknown } from "@hull/errors";
import { type Descriptor, isIndex, isManifest, maxManifestSize, parseReference, type Reference } from "@hull/oci";
import { errorOf } from "./answers.ts";
import type { Endpoints } from "./endpoints.ts";
import type { RegistryHost } from "./hosts.ts";
import type { PushResult, PushSource } from "./index.ts";
import { addToFallbackTag } from "./referrers.ts";
import { discard, type RegistryRequest } from "./request.ts";
import { wait } from "./retry.ts";

/** Bytes of one request of an upload: what a broken connection costs at most, and what is held in memory. */
const chunk = 16 * 1024 * 1024;
/** Tries one after the other that brought nothing, until an upload is given up. */
const maxFruitless = 6;
/** ms before an upload is gone on with; each further pause is twice as long. */
const firstPause = 200;

/** See Registry.push. Endpoints: OCI distribution spec, sections "Pushing Blobs" and "Pushing Manifests". */
export async function pushObject(
  endpoints: Endpoints,
  text: string,
  descriptor: Descriptor,
  source: PushSource,
): Promise<PushResult> {
  const reference = parseReference(text);
  const push = new Push(endpoints, reference, descriptor, source);
  const manifest = isManifest(descriptor.mediaType) || isIndex(descriptor.mediaType);
  const host = await endpoints.writable(reference);
  return manifest ? push.manifest(host) : push.blob(host);
}

class Push {
  readonly #endpoints: Endpoints;
  readonly #reference: Reference;
  readonly #descriptor: Descriptor;
  readonly #source: PushSource;
  readonly #scope: string;

  constructor(endpoints: Endpoints, reference: Reference, descriptor: Descriptor, source: PushSource) {
    this.#endpoints = endpoints;
    this.#reference = reference;
    this.#descriptor = descriptor;
    this.#source = source;
    this.#scope = `repository:${reference.path}:pull,push`;
  }

  async manifest(host: RegistryHost): Promise<PushResult> {
    const { digest, size, mediaType } = this.#descriptor;
    const { tag } = this.#reference;
    const object = this.#source.tagged === true && tag !== undefined ? tag : digest;
    if (size > maxManifestSize)
      throw invalidArgument(`manifest "${digest}" has ${size} bytes: at most ${maxManifestSize} are allowed`);
    if (await this.#exists(host, `manifests/${object}`)) return "exists";
    const body = await this.#source.read(0, size);
    const put = this.#request(host, `manifests/${object}`, "PUT", {
      body,
      headers: { "content-type": mediaType },
      patience: "patient",
    });
    const response = await this.#endpoints.send(put);
    if (!response.ok) throw await errorOf(response, "PUT", put.url);
    const listed = response.headers.has("oci-subject");
    await discard(response);
    this.#source.progress?.(size);
    // A registry that doesn't say so keeps no list of what refers to a manifest: its clients do, under a tag.
    if (!listed) await addToFallbackTag(this.#endpoints, this.#reference, host, this.#descriptor, body, this.#source);
    return "pushed";
  }

  async blob(host: RegistryHost): Promise<PushResult> {
    if (await this.#exists(host, `blobs/${this.#descriptor.digest}`)) return "exists";
    let fruitless = 0;
    for (let mountFrom = this.#source.mountFrom; ; mountFrom = undefined) {
      const session = await this.#begin(host, mountFrom);
      if (session === undefined) return "mounted";
      try {
        await session.run();
        return "pushed";
      } catch (error) {
        // The registry has forgotten the upload, as one that was restarted may: it is begun anew.
        if (!isLost(error) || ++fruitless >= maxFruitless) throw error;
        await wait(firstPause * 2 ** fruitless, this.#source.signal);
      }
    }
  }

  async #exists(host: RegistryHost, path: string): Promise<boolean> {
    const head = this.#request(host, path, "HEAD");
    const response = await this.#endpoints.send(head);
    await discard(response);
    if (response.ok) {
      const found = response.headers.get("docker-content-digest");
      return found === null ? !path.startsWith("manifests/") : found === this.#descriptor.digest;
    }
    // 405 and the like: it can be sent all the same.
    if (response.status === 401 || response.status === 403 || response.status >= 500)
      throw await errorOf(response, "HEAD", head.url);
    return false;
  }

  /** Opens an upload; undefined if the registry took the blob over from another repository instead. */
  async #begin(host: RegistryHost, mountFrom: string | undefined): Promise<Upload | undefined> {
    const { digest } = this.#descriptor;
    const mount = mountFrom === undefined ? undefined : { mount: digest, from: mountFrom };
    const post = this.#request(host, "blobs/uploads/", "POST", {
      patience: "patient",
      body: new Uint8Array(0),
      ...(mount === undefined ? {} : { query: mount, scope: `${this.#scope} repository:${mountFrom}:pull` }),
    });
    const response = await this.#endpoints.send(post);
    if (response.ok || mount !== undefined) await discard(response);
    if (response.status === 201 && mount !== undefined) return undefined;
    // Who may not read the other repository may still send it.
    if (mount !== undefined && (response.status === 401 || response.status === 403 || response.status === 404))
      return this.#begin(host, undefined);
    if (!response.ok) throw await errorOf(response, "POST", post.url);
    return new Upload(this.#endpoints, post, locationOf(response, post), this.#descriptor, this.#source, this.#scope);
  }

  #request(
    host: RegistryHost,
    path: string,
    method: RegistryRequest["method"],
    parts: Parameters<Endpoints["request"]>[5] = {},
  ): RegistryRequest {
    const { signal } = this.#source;
    return this.#endpoints.request(host, this.#reference, path, method, signal, { scope: this.#scope, ...parts });
  }
}

/** One upload: pieces by PATCH for all that doesn't fit into one, the last by PUT, which makes the blob. */
class Upload {
  readonly #endpoints: Endpoints;
  readonly #first: RegistryRequest;
  readonly #descriptor: Descriptor;
  readonly #source: PushSource;
  readonly #scope: string;
  #location: URL;
  #offset = 0;

  constructor(
    endpoints: Endpoints,
    first: RegistryRequest,
    location: URL,
    descriptor: Descriptor,
    source: PushSource,
    scope: string,
  ) {
    this.#endpoints = endpoints;
    this.#first = first;
    this.#location = location;
    this.#descriptor = descriptor;
    this.#source = source;
    this.#scope = scope;
  }

  async run(): Promise<void> {
    const { size } = this.#descriptor;
    let fruitless = 0;
    while (this.#offset + chunk < size) {
      const before = this.#offset;
      try {
        await this.#patch();
      } catch (error) {
        if (!isCode(error, "unavailable") || this.#source.signal.aborted) throw error;
        await wait(firstPause * 2 ** fruitless, this.#source.signal);
        await this.#askOffset();
      }
      fruitless = this.#offset > before ? 0 : fruitless + 1;
      if (fruitless >= maxFruitless)
        throw unavailable(`upload of "${this.#descriptor.digest}" stopped after ${this.#offset} of ${size} bytes`);
    }
    await this.#finish();
  }

  async #patch(): Promise<void> {
    const body = await this.#source.read(this.#offset, chunk);
    const end = this.#offset + body.length;
    const range = { "content-range": `${this.#offset}-${end - 1}` };
    const response = await this.#send("PATCH", this.#location, body, range);
    this.#location = locationOf(response, this.#first, this.#location);
    this.#offset = end;
    this.#source.progress?.(end);
  }

  /** Where to go on after a connection broke. @throws lost if the registry doesn't know the upload any more */
  async #askOffset(): Promise<void> {
    const response = await this.#send("GET", this.#location, undefined, {}, "patient");
    this.#location = locationOf(response, this.#first, this.#location);
    const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("range") ?? "") ?? [];
    // "0-0" is what registries say of nothing as well as of one byte.
    this.#offset = last === undefined || last === "0" ? 0 : Number(last) + 1;
    if (this.#offset > this.#descriptor.size || (last === "0" && this.#offset > 0)) throw lost();
  }

  async #finish(): Promise<void> {
    const { digest, size } = this.#descriptor;
    const url = new URL(this.#location);
    url.searchParams.set("digest", digest);
    const body = this.#offset < size ? await this.#source.read(this.#offset, size - this.#offset) : new Uint8Array(0);
    try {
      await this.#send("PUT", url, body, this.#offset > 0 ? { "content-range": `${this.#offset}-${size - 1}` } : {});
    } catch (error) {
      // Whether it arrived isn't known, and a second time it could be appended: a new upload asks first.
      throw isCode(error, "unavailable") ? lost(error) : error;
    }
    this.#source.progress?.(size);
  }

  /** @throws lost for an upload that isn't known; what `errorOf` makes of other refusals */
  async #send(
    method: "PATCH" | "PUT" | "GET",
    url: URL,
    body: Uint8Array | undefined,
    headers: Readonly<Record<string, string>>,
    patience: RegistryRequest["patience"] = "once",
  ): Promise<Response> {
    const { signal } = this.#source;
    const own = url.host === this.#first.url.host;
    const request: RegistryRequest = {
      method,
      url,
      body,
      signal,
      patience,
      // Another host gets nothing of what was meant for the registry.
      host: own ? this.#first.host : { ...this.#first.host, host: url.host, headers: undefined, tls: undefined },
      ...(own ? { scope: this.#scope } : {}),
      headers: {
        ...(own ? this.#endpoints.headers(this.#first.host) : {}),
        ...(body === undefined ? {} : { "content-type": "application/octet-stream" }),
        ...headers,
      },
    };
    const response = await this.#endpoints.send(request);
    if (response.ok) {
      await discard(response);
      return response;
    }
    const failure = await errorOf(response, method, url);
    throw response.status === 404 || response.status === 416 ? lost(failure) : failure;
  }
}

/** Says that an upload has to be begun anew. */
const lostUpload = Symbol("lost");

function lost(cause?: unknown): HullError {
  const why = cause === undefined ? "" : `: ${HullError.from(cause).message}`;
  return Object.assign(unavailable(`the registry lost the upload${why}`, { cause }), { [lostUpload]: true });
}

function isLost(error: unknown): boolean {
  return error instanceof HullError && lostUpload in error;
}

/** Where an upload goes on: the header `Location`, absolute or below what was asked. @throws Unknown without one */
function locationOf(response: Response, request: Pick<RegistryRequest, "url">, last?: URL): URL {
  const location = response.headers.get("location");
  if (location === null) {
    if (last !== undefined) return last;
    throw unknown(`registry "${request.url.host}" began an upload without saying where it goes`);
  }
  const url = URL.parse(location, request.url.href);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw unknown(`registry "${request.url.host}" sends an upload to something that is not a web address`);
  // A registry behind a proxy that does TLS for it may think that it is spoken to in plain text.
  if (url.host === request.url.host) url.protocol = request.url.protocol;
  return url;
}
