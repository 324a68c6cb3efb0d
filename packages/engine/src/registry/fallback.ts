import { isCode } from "@hull/errors";
import { isDistrust, type Send } from "./request.ts";

/** Asks a host that may be spoken to in plain text (this machine itself) by HTTP if HTTPS fails, and remembers which of them answered. */
export function withHttpFallback(send: Send): Send {
  const plain = new Set<string>();
  return async (request) => {
    if (request.host.fallBackToHttp !== true || request.url.protocol !== "https:") return send(request);
    const asPlain = new URL(request.url);
    asPlain.protocol = "http:";
    if (plain.has(request.url.host)) return send({ ...request, url: asPlain });
    try {
      return await send(request);
    } catch (error) {
      // A certificate that isn't trusted is no reason to do without one.
      if (request.signal.aborted || !isCode(error, "unavailable") || isDistrust(error)) throw error;
      // The first error tells more if plain text fails too.
      const response = await send({ ...request, url: asPlain }).catch(() => {
        throw error;
      });
      plain.add(request.url.host);
      return response;
    }
  };
}
