import { unauthenticated, unavailable } from "@hull/errors";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { discard, displayUrl, type RegistryRequest, type Send } from "./request.ts";

/**
 * Who we are to a registry: a name with a secret, a token to get tokens with (OAuth 2's refresh token), a token that the registry itself
 * takes, or the whole value of the header `Authorization`.
 */
export type Credentials =
  | { username: string; secret: string }
  | { identityToken: string }
  | { registryToken: string }
  | { header: string };

/** Gives the credentials for a host (with its port), or none to be anonymous. */
export type CredentialsProvider = (host: string) => Credentials | undefined | Promise<Credentials | undefined>;

interface Token {
  value: string;
  /** ms since 1970; Infinity if the server didn't say */
  expiresAt: number;
}

const clientId = "containerd-client";
const maxTokenResponse = 1 << 20;
// Ahead of its end, a token may run out on the way.
const expiryMargin = 5000;
const fallBackToGet: ReadonlySet<number> = new Set([400, 401, 404, 405]);

/**
 * Answers a registry's challenge: Basic, or Bearer with a token from the server that the registry names (distribution project's token
 * specification). What a host wants is remembered, tokens are kept by scope until they expire, and requests at the same time share one. No secret is
 * ever part of an error.
 */
export function withAuth(send: Send, credentials: CredentialsProvider = () => undefined): Send {
  const challenges = new Map<string, Challenge>();
  const tokens = new Map<string, Promise<Token>>();

  return async (request) => {
    const { origin } = request.url;
    const known = challenges.get(origin);
    const first = await authorized(request, known);
    const response = await send(first);
    if (response.status !== 401) return response;
    const challenge = choose(parseChallenges(response.headers.get("www-authenticate") ?? ""));
    if (challenge === undefined) return response;
    challenges.set(origin, challenge);
    await forget(tokenKey(request, challenge), first.headers.authorization);
    const again = await authorized(request, challenge);
    if (again.headers.authorization === undefined) return response;
    await discard(response);
    return send(again);
  };

  /** A token that was refused is not used again, whatever its time; one that another request got meanwhile is. */
  async function forget(key: string, refused: string | undefined): Promise<void> {
    const pending = tokens.get(key);
    const token = await pending?.catch(() => undefined);
    if (token !== undefined && refused === `Bearer ${token.value}` && tokens.get(key) === pending) tokens.delete(key);
  }

  async function authorized(request: RegistryRequest, challenge: Challenge | undefined): Promise<RegistryRequest> {
    const authorization = challenge === undefined ? undefined : await authorizationFor(request, challenge);
    return authorization === undefined ? request : { ...request, headers: { ...request.headers, authorization } };
  }

  async function authorizationFor(request: RegistryRequest, challenge: Challenge): Promise<string | undefined> {
    if (challenge.scheme === "basic") {
      const own = await credentials(request.host.host);
      if (own !== undefined && "header" in own) return own.header;
      return own !== undefined && "username" in own ? basic(own) : undefined;
    }
    const key = tokenKey(request, challenge);
    let pending = tokens.get(key);
    const kept = await pending?.catch(() => undefined);
    if (kept === undefined || kept.expiresAt - expiryMargin < Date.now()) {
      if (tokens.get(key) === pending) {
        const own = await credentials(request.host.host);
        if (own !== undefined && "header" in own) return own.header;
        pending = fetchToken(send, request, challenge, own);
        pending.catch(() => tokens.delete(key));
        tokens.set(key, pending);
      } else pending = tokens.get(key);
    }
    return pending === undefined ? undefined : `Bearer ${(await pending).value}`;
  }
}

function choose(challenges: readonly Challenge[]): Challenge | undefined {
  return (
    challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.realm !== undefined) ??
    challenges.find(({ scheme }) => scheme === "basic")
  );
}

function basic({ username, secret }: { username: string; secret: string }): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString("base64")}`;
}

function scopes(request: RegistryRequest, challenge: Challenge): string {
  const wanted = [...(request.scope ?? "").split(" "), ...(challenge.parameters.scope ?? "").split(" ")];
  return [...new Set(wanted.filter((scope) => scope !== ""))].sort().join(" ");
}

function tokenKey(request: RegistryRequest, challenge: Challenge): string {
  return [
    request.url.origin,
    challenge.parameters.realm,
    challenge.parameters.service,
    scopes(request, challenge),
  ].join("\n");
}

async function fetchToken(
  send: Send,
  request: RegistryRequest,
  challenge: Challenge,
  credentials: Exclude<Credentials, { header: string }> | undefined,
): Promise<Token> {
  const realm = URL.parse(challenge.parameters.realm ?? "");
  const registry = `"${request.url.host}"`;
  if (realm === null || (realm.protocol !== "https:" && realm.protocol !== "http:"))
    throw unauthenticated(`registry ${registry} names a malformed token server`);
  if (
    credentials !== undefined &&
    realm.protocol === "http:" &&
    request.url.protocol === "https:" &&
    request.host.fallBackToHttp !== true
  )
    throw unauthenticated(
      `registry ${registry} wants the credentials sent in plain text to "${displayUrl(realm)}", which is refused`,
    );
  if (credentials !== undefined && "registryToken" in credentials)
    return { value: credentials.registryToken, expiresAt: Number.POSITIVE_INFINITY };
  const fields = new URLSearchParams();
  const { service } = challenge.parameters;
  const scope = scopes(request, challenge);
  if (service !== undefined) fields.set("service", service);
  const common = {
    signal: request.signal,
    patience: request.patience,
    // The token server may be another machine: the registry's own certificates are for itself.
    host:
      realm.host === request.url.host
        ? request.host
        : { ...request.host, host: realm.host, headers: undefined, fallBackToHttp: false },
  };
  if (credentials !== undefined) {
    const form = new URLSearchParams(fields);
    form.set("client_id", clientId);
    if (scope !== "") form.set("scope", scope);
    if ("identityToken" in credentials) {
      form.set("grant_type", "refresh_token");
      form.set("refresh_token", credentials.identityToken);
    } else {
      form.set("grant_type", "password");
      form.set("username", credentials.username);
      form.set("password", credentials.secret);
      form.set("access_type", "offline");
    }
    const response = await send({
      ...common,
      method: "POST",
      url: realm,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": request.headers["user-agent"] ?? "hull",
      },
      body: form.toString(),
    });
    if (response.ok) return readToken(response, realm);
    await discard(response);
    if (!fallBackToGet.has(response.status) || "identityToken" in credentials) throw refusal(response, realm, registry);
  }
  const url = new URL(realm);
  for (const [name, value] of fields) url.searchParams.set(name, value);
  for (const one of scope.split(" ")) if (one !== "") url.searchParams.append("scope", one);
  const authorization: Record<string, string> =
    credentials !== undefined && "username" in credentials ? { authorization: basic(credentials) } : {};
  const response = await send({
    ...common,
    method: "GET",
    url,
    headers: { "user-agent": request.headers["user-agent"] ?? "hull", ...authorization },
  });
  if (response.ok) return readToken(response, realm);
  await discard(response);
  throw refusal(response, realm, registry);
}

function refusal(response: Response, realm: URL, registry: string): Error {
  const what = `token server "${displayUrl(realm)}" of registry ${registry} answered ${response.status}`;
  if (response.status >= 500 || response.status === 429) return unavailable(what);
  return unauthenticated(`${what}: check the user name and password`);
}

async function readToken(response: Response, realm: URL): Promise<Token> {
  const malformed = (cause?: unknown) =>
    unauthenticated(`token server "${displayUrl(realm)}" gave no token`, { cause });
  if (Number(response.headers.get("content-length") ?? 0) > maxTokenResponse) throw malformed();
  let json: { token?: unknown; access_token?: unknown; expires_in?: unknown };
  try {
    json = (await response.json()) as typeof json;
  } catch {
    // The cause isn't kept: a parser's message may quote the token.
    throw malformed();
  }
  const value = json?.access_token || json?.token;
  if (typeof value !== "string" || value === "") throw malformed();
  const seconds =
    typeof json.expires_in === "number" && json.expires_in > 0 ? json.expires_in : Number.POSITIVE_INFINITY;
  return { value, expiresAt: Date.now() + seconds * 1000 };
}
