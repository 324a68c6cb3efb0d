import { connect } from "node:net";
import { unavailable } from "@hull/errors";
import type { Send } from "./request.ts";

/**
 * Gives a host up that can't be connected to within its `dial_timeout`. The runtime's fetch knows no such limit, so that a connection of our
 * own tries it, once for each host that answers.
 */
export function withDialTimeout(send: Send): Send {
  const reached = new Set<string>();
  return async (request) => {
    const { host, url, signal } = request;
    // Through a proxy it is the proxy that connects.
    const proxied = process.env[url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"] ?? "";
    if (host.dialTimeout === undefined || host.host !== url.host || proxied !== "" || reached.has(url.host))
      return send(request);
    await dial(url, host.dialTimeout, signal);
    const response = await send(request);
    reached.add(url.host);
    return response;
  };
}

function dial(url: URL, timeout: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  const socket = connect({ host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port });
  const late = (): void =>
    reject(unavailable(`no connection to "${url.host}" within its dial_timeout of ${timeout} ms`));
  const timer = setTimeout(late, timeout);
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  socket.once("connect", () => resolve());
  socket.once("error", (cause) => reject(unavailable(`no connection to "${url.host}": ${cause.message}`, { cause })));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.destroy();
  });
}
