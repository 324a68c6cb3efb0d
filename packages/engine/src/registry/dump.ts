/**
 * What goes to and from registries as text, for whoever asked to see it: each request and response as HTTP/1.1 would write it. Secrets are
 * left out of it, bodies are there where they are short texts.
 */

import { displayUrl, type Send } from "./request.ts";

/** Takes the next piece of text. */
export type DumpWriter = (text: string) => void;

const secretHeaders: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie", "set-cookie"]);
const maxBody = 64 * 1024;
const textual = /^(application\/([\w.-]+\+)?json|text\/|application\/x-www-form-urlencoded)/i;

/** Shows every request, and what was answered, to `write`. */
export function withDump(send: Send, write: DumpWriter): Send {
  return async (request) => {
    const { method, url, headers, body } = request;
    const lines = [`${method} ${url.pathname} HTTP/1.1`, `Host: ${url.host}`, ...headerLines(Object.entries(headers))];
    write(
      `${lines.join("\r\n")}\r\n\r\n${body === undefined ? "" : `${requestBody(headers["content-type"], body)}\r\n`}`,
    );
    const response = await send(request);
    const { shown, rest } = await splitBody(response, method);
    const status = `HTTP/1.1 ${response.status} ${response.statusText}`.trimEnd();
    write(`${[status, ...headerLines([...response.headers])].join("\r\n")}\r\n\r\n${shown}`);
    return rest;
  };
}

/** Tells `write` of every request in a line: what it was, how it ended, and after how long. */
export function withTrace(send: Send, write: DumpWriter): Send {
  return async (request) => {
    const began = performance.now();
    const told = (how: string): void =>
      write(`${request.method} ${displayUrl(request.url)}: ${how} after ${(performance.now() - began).toFixed(1)} ms`);
    try {
      const response = await send(request);
      told(`status ${response.status}`);
      return response;
    } catch (error) {
      told(error instanceof Error ? error.message : String(error));
      throw error;
    }
  };
}

function headerLines(headers: readonly (readonly [string, string])[]): string[] {
  return headers.map(
    ([name, value]) => `${titled(name)}: ${secretHeaders.has(name.toLowerCase()) ? hidden(value) : value}`,
  );
}

const titled = (name: string): string => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** The scheme stays, since it says how one tried. */
const hidden = (value: string): string => `${/^(Basic|Bearer) /i.exec(value)?.[0] ?? ""}(hidden)`;

function requestBody(type = "", body: string | Uint8Array): string {
  if (body.length > maxBody || !textual.test(type)) return `(${body.length} bytes)`;
  return withoutSecrets(typeof body === "string" ? body : new TextDecoder().decode(body));
}

/** The text of a short body, and the response with its body to be read again. */
async function splitBody(response: Response, method: string): Promise<{ shown: string; rest: Response }> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  const type = response.headers.get("content-type") ?? "";
  if (method === "HEAD" || response.body === null) return { shown: "", rest: response };
  if (!(length <= maxBody) || !textual.test(type))
    return { shown: `(${Number.isNaN(length) ? "a body of unknown length" : `${length} bytes`})\r\n`, rest: response };
  const text = await response.text();
  const { status, statusText, headers } = response;
  return { shown: `${withoutSecrets(text)}\r\n`, rest: new Response(text, { status, statusText, headers }) };
}

/** Tokens and passwords of token servers, as JSON and as a form. */
function withoutSecrets(text: string): string {
  return text
    .replace(/("(?:access_token|refresh_token|token|password)"\s*:\s*)"[^"]*"/g, '$1"(hidden)"')
    .replace(/(^|&)((?:access_token|refresh_token|token|password)=)[^&]*/g, "$1$2(hidden)");
}
