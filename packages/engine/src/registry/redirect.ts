import { unavailable } from "@hull/errors";
import { discard, displayUrl, type RegistryRequest, type Send } from "./request.ts";

const maxRedirects = 10;
const statuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Follows redirects. Another host gets none of the first one's headers, certificates or scope: what it needs, the layers
 * below find out for it anew.
 * @throws Unavailable after ten of them
 */
export function withRedirects(send: Send): Send {
  return async (request) => {
    let current: RegistryRequest = request;
    for (let count = 0; ; count++) {
      const response = await send(current);
      const location = response.headers.get("location");
      if (!statuses.has(response.status) || location === null) return response;
      // Only these two say that the same is to be sent again elsewhere.
      const reads = request.method === "GET" || request.method === "HEAD";
      if (!reads && response.status !== 307 && response.status !== 308) return response;
      await discard(response);
      if (count === maxRedirects)
        throw unavailable(`"${displayUrl(request.url)}" redirects more than ${maxRedirects} times`);
      current = follow(current, location);
    }
  };
}

function follow(request: RegistryRequest, location: string): RegistryRequest {
  const url = URL.parse(location, request.url.href);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw unavailable(`"${displayUrl(request.url)}" redirects to something that is not a web address`);
  url.username = "";
  url.password = "";
  if (url.host === request.url.host) {
    // A registry behind a proxy that does TLS for it may think that it is spoken to in plain text.
    url.protocol = request.url.protocol;
    return { ...request, url };
  }
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  for (const name of ["range", "accept", "user-agent", "content-type", "content-range"]) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  return {
    ...request,
    url,
    headers,
    scope: undefined,
    host: { scheme: url.protocol === "https:" ? "https" : "http", host: url.host, path: "", capabilities: ["pull"] },
  };
}
