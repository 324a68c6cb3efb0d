/** How Kubernetes' clients ask for SPDY on a connection of HTTP/1.1, and for what they mean to speak on it. */

import { answerHead, HttpProblem, headerHas, headerList, type RequestHead } from "../http.ts";

const protocolHeader = "X-Stream-Protocol-Version";

/**
 * Chooses the first of the client's protocols that is `supported`.
 *
 * @returns the protocol, and the answer that accepts it.
 * @throws HttpProblem; the texts are those that Kubernetes' clients know
 */
export function acceptSpdy(head: RequestHead, supported: readonly string[]): { protocol: string; answer: Uint8Array } {
  const name = protocolHeader.toLowerCase();
  const values = head.headers.get(name);
  if (values === undefined) {
    const count = head.headers.size;
    throw new HttpProblem(
      400,
      `unable to upgrade: header ${protocolHeader} does not exist in request with ${count} headers`,
    );
  }
  const asked = headerList(head, name);
  if (asked.length === 0) {
    const text = `unable to upgrade: header ${protocolHeader} contains [${values.join(" ")}], but no valid protocols`;
    throw new HttpProblem(400, text);
  }
  const protocol = asked.find((each) => supported.includes(each));
  if (protocol === undefined) {
    throw new HttpProblem(
      403,
      `unable to upgrade: unable to negotiate protocol: client supports [${asked.join(" ")}], server accepts [${supported.join(" ")}]`,
      supported.map((each) => ["X-Accepted-Stream-Protocol-Versions", each] as const),
    );
  }
  if (!headerHas(head, "connection", "upgrade") || !headerHas(head, "upgrade", "SPDY/3.1"))
    throw new HttpProblem(400, "unable to upgrade: missing upgrade headers in request");
  const answer = answerHead(101, [
    ["Connection", "Upgrade"],
    ["Upgrade", "SPDY/3.1"],
    [protocolHeader, protocol],
  ]);
  return { protocol, answer: Buffer.from(answer) };
}
