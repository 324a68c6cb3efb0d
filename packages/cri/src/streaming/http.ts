/** The little of HTTP/1.1 that comes before a connection is another protocol's. RFC 9112. */

import { invalidArgument } from "@hull/errors";

/** What a request line and headers may have together. */
export const maximumHead = 64 * 1024;

/** The head of a request. */
export interface RequestHead {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** Values by name in lower case, in the order in which they came. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Reads a head, without the empty line that ends it. @throws InvalidArgument */
export function parseHead(text: string): RequestHead {
  const [line = "", ...lines] = text.split("\r\n");
  const [, method, target] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (method === undefined || target === undefined) throw invalidArgument("malformed HTTP request");
  const headers = new Map<string, string[]>();
  for (const each of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(each) ?? [];
    if (name === undefined || value === undefined) throw invalidArgument("malformed MIME header line");
    const values = headers.get(name.toLowerCase()) ?? [];
    headers.set(name.toLowerCase(), [...values, value]);
  }
  const [path = ""] = target.replace(/^https?:\/\/[^/?]*/, "").split("?");
  return { method, path, headers };
}

/** Whether any value of a header has `part` in it, in whatever case. */
export const headerHas = ({ headers }: RequestHead, name: string, part: string): boolean =>
  (headers.get(name) ?? []).some((value) => value.toLowerCase().includes(part.toLowerCase()));

/** The elements of a header's values, which are divided by commas. */
export const headerList = ({ headers }: RequestHead, name: string): string[] =>
  (headers.get(name) ?? [])
    .flatMap((value) => value.split(",").map((each) => each.trim()))
    .filter((each) => each !== "");

const reasons: Readonly<Record<number, string>> = {
  101: "Switching Protocols",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
};

/** The head of an answer. A header with several values is given several times. */
export function answerHead(status: number, headers: readonly (readonly [string, string])[]): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reasons[status] ?? ""}\r\n${lines.join("")}\r\n`;
}

/** What went wrong: the answer to a request is a text, and the connection ends. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];

  constructor(status: number, message: string, headers: readonly (readonly [string, string])[] = []) {
    super(message);
    this.name = "HttpProblem";
    this.status = status;
    this.headers = headers;
  }

  /** The whole answer. */
  get answer(): Uint8Array {
    const body = `${this.message}\n`;
    const head = answerHead(this.status, [
      ...this.headers,
      ["Content-Type", "text/plain; charset=utf-8"],
      ["X-Content-Type-Options", "nosniff"],
      ["Content-Length", String(Buffer.byteLength(body))],
      ["Connection", "close"],
    ]);
    return Buffer.from(head + body);
  }
}
