import { canceled, type HullError, HullError as HullErrors, unavailable } from "@hull/errors";
import { span } from "@hull/trace";
import type { RegistryHost } from "./hosts.ts";
import { systemAuthorities } from "./system-ca.ts";

/** One HTTP request to a registry or to what it refers to. */
export interface RegistryRequest {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH";
  url: URL;
  headers: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  signal: AbortSignal;
  /** Whose certificates, headers and credentials the request goes with. */
  host: RegistryHost;
  /** What access it needs, as a token server names it: `repository:<name>:pull`. */
  scope?: string;
  /**
   * How long to go on after failures: `quick` for the first word with a registry, `patient` amid a transfer; `once` where the same request
   * again would do something else.
   */
  patience: "once" | "quick" | "patient";
}

/**
 * The one function that retries, redirects, authorization and fall-backs wrap. It gives the response whatever its status; the body is
 * read by the caller as it comes.
 * @throws Unavailable if no response was got; Canceled if the signal aborts
 */
export type Send = (request: RegistryRequest) => Promise<Response>;

/** A URL as errors and logs show it: the query may hold a signature, the authority a password. */
export function displayUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

const certificateCodes = /CERT|SELF_SIGNED|VERIFY|ALTNAME|ISSUER/i;

/** Sends by Bun's fetch: a proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY, bodies undecoded, redirects given to the caller. */
export const sendByFetch: Send = (request) =>
  span(
    `HTTP ${request.method}`,
    { kind: "client", attributes: { "http.request.method": request.method, "url.full": displayUrl(request.url) } },
    async (running) => {
      const response = await fetchOf(request);
      running?.set({ "http.response.status_code": response.status });
      return response;
    },
  );

async function fetchOf(request: RegistryRequest): Promise<Response> {
  try {
    return await fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: request.body as string | Uint8Array<ArrayBuffer> | undefined,
      signal: request.signal,
      redirect: "manual",
      // A layer is compressed as a file, not for the way: its bytes must arrive as they are stored.
      decompress: false,
      // The reader watches for stalls itself; a slow large layer is no error.
      timeout: false,
      ...(request.url.protocol === "https:" ? { tls: tlsOptions(request.host) } : {}),
    } as RequestInit);
  } catch (error) {
    throw failureOf(error, request);
  }
}

/** The connection's TLS in the runtime's terms. */
function tlsOptions({ tls }: RegistryHost): object {
  const system = systemAuthorities();
  // Naming any authority takes the place of the runtime's list: without a system's own, that list is the better one to leave as it is.
  const ca = [...(system ?? []), ...(tls?.ca ?? [])];
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...(tls?.client === undefined ? {} : { cert: tls.client.certificate, key: tls.client.key }),
    ...(tls?.skipVerify === true ? { rejectUnauthorized: false } : {}),
  };
}

/** What went wrong between us and the host, as an error of the family. */
export function failureOf(thrown: unknown, request: Pick<RegistryRequest, "url" | "signal">): HullError {
  if (thrown instanceof HullErrors) return thrown;
  // Node's fetch says no more than that it failed, and has the reason as its cause.
  const error = thrown instanceof TypeError && thrown.cause instanceof Error ? thrown.cause : thrown;
  if (request.signal.aborted) return HullErrors.from(request.signal.reason ?? canceled("context canceled"));
  const code = String((error as { code?: unknown }).code ?? "");
  const reason = (error instanceof Error ? error.message : String(error)) || "no reason given";
  const what = `"${displayUrl(request.url)}"`;
  if (isDistrust(error))
    return unavailable(
      `the certificate of ${what} is not trusted (${code || reason}): give its authority as "ca", or "skip_verify" to accept any`,
      { cause: error },
    );
  // What Bun says of a connection that couldn't be made is for somebody at a browser; the codes are of its own too.
  const known = { ECONNREFUSED: "connection refused", ConnectionRefused: "connection refused" }[code];
  const said = known ?? (code === "" || reason.includes(code) ? reason : `${reason} (${code})`);
  return unavailable(`no answer from ${what}: ${said}`, { cause: error });
}

/** True if the host did speak TLS, with a certificate that isn't trusted. `error` is what fetch threw, or an error made of it. */
export function isDistrust(error: unknown): boolean {
  if (error instanceof HullErrors) return error.cause !== undefined && isDistrust(error.cause);
  return certificateCodes.test(String((error as { code?: unknown }).code ?? "")) || /certificate/i.test(String(error));
}

/** Ends a response whose body nobody wants, so that its connection isn't held. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}
