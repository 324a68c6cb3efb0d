/** The opening handshake of WebSocket, RFC 6455 section 4.2. */

import { createHash } from "node:crypto";
import { answerHead, HttpProblem, headerHas, headerList, type RequestHead } from "../http.ts";

/** Section 1.3. */
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Whether a request asks for a WebSocket. */
export const asksForWebSocket = (head: RequestHead): boolean =>
  head.headers.get("upgrade")?.[0]?.toLowerCase() === "websocket" && headerHas(head, "connection", "upgrade");

/**
 * Chooses the first of the client's subprotocols that is `supported`; the empty one stands for a client that names none.
 *
 * @returns the subprotocol, and the answer that accepts it.
 * @throws HttpProblem
 */
export function acceptWebSocket(
  head: RequestHead,
  supported: readonly string[],
): { protocol: string; answer: Uint8Array } {
  if (head.method !== "GET") throw new HttpProblem(405, "bad method");
  const key = head.headers.get("sec-websocket-key")?.[0] ?? "";
  if (Buffer.from(key, "base64").length !== 16) throw new HttpProblem(400, "missing or bad WebSocket key");
  if (head.headers.get("sec-websocket-version")?.[0] !== "13")
    throw new HttpProblem(400, "missing or bad WebSocket version", [["Sec-WebSocket-Version", "13"]]);
  const asked = headerList(head, "sec-websocket-protocol");
  const protocol = (asked.length > 0 ? asked : [""]).find((each) => supported.includes(each));
  if (protocol === undefined) {
    const list = (names: readonly string[]): string => names.filter((name) => name !== "").join(" ");
    throw new HttpProblem(
      403,
      `requested protocol(s) are not supported: [${list(asked)}]; supports [${list(supported)}]`,
    );
  }
  const accept = createHash("sha1").update(`${key}${guid}`).digest("base64");
  const answer = answerHead(101, [
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Accept", accept],
    ...(protocol === "" ? [] : ([["Sec-WebSocket-Protocol", protocol]] as const)),
  ]);
  return { protocol, answer: Buffer.from(answer) };
}
