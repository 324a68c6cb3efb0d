import { randomBytes } from "node:crypto";
import { resourceExhausted } from "@hull/errors";

/** How long a request waits to be picked up, in milliseconds. */
export const tokenLifeMs = 60_000;
const maximumWaiting = 1000;
/** 8 characters of base64url. */
const tokenBytes = 6;

/** Requests that were asked for by the API and wait to be picked up at their URL, each once. */
export class Tokens<T> {
  /** In the order in which they came, which is that in which they expire. */
  readonly #waiting = new Map<string, { request: T; expires: number }>();

  /** Keeps a request, and gives its token. @throws ResourceExhausted if too many wait */
  insert(request: T): string {
    const now = performance.now();
    for (const [token, { expires }] of this.#waiting) {
      if (expires > now) break;
      this.#waiting.delete(token);
    }
    if (this.#waiting.size >= maximumWaiting) throw resourceExhausted("maximum number of in-flight requests exceeded");
    const token = this.#newToken();
    this.#waiting.set(token, { request, expires: now + tokenLifeMs });
    return token;
  }

  #newToken(): string {
    for (;;) {
      const token = randomBytes(tokenBytes).toString("base64url");
      if (!this.#waiting.has(token)) return token;
    }
  }

  /** The request of a token, which is used up by that; undefined if there is none, or it is too late. */
  consume(token: string): T | undefined {
    const found = this.#waiting.get(token);
    this.#waiting.delete(token);
    return found !== undefined && found.expires > performance.now() ? found.request : undefined;
  }
}
