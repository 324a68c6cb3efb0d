/**
 * A service that runs code which anybody sends, each time in a sandbox of its own:
 *
 *   GET /        the page
 *   GET /about   languages and limits, as JSON
 *   POST /run    { language, code, input } ──► server-sent events: output … end (or error)
 *
 * A client that goes away takes its sandbox with it.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Hull, HullError, type SandboxOptions } from "@hull/client";
import { type Language, languages } from "./languages.ts";
import { Queue } from "./queue.ts";

/** What a sandbox of this service may take. */
export const limits = {
  timeMs: 5000,
  memory: 64 << 20,
  disk: 8 << 20,
  cpus: 0.5,
  pids: 32,
  output: 64 << 10,
} satisfies Partial<SandboxOptions>;

/** Bytes of a request. */
const longestRequest = 64 << 10;

interface Wish {
  readonly language: Language;
  readonly code: string;
  readonly input: string;
}

/** The service, not listening yet. Languages whose images aren't here are not offered. */
export async function createApp(hull: Hull): Promise<Server> {
  const found = await Promise.all(languages.map(({ image }) => hull.images.find(image)));
  const offered = languages.filter((_, at) => found[at] !== undefined);
  const about = JSON.stringify({ limits, languages: offered.map(({ id, name, sample }) => ({ id, name, sample })) });
  const page = readFileSync(new URL("page.html", import.meta.url));
  const queue = new Queue({ running: 2, waiting: 16 });

  return createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!(error instanceof Refusal)) console.error(error);
      if (response.headersSent) return void response.end();
      const { status, message } = error instanceof Refusal ? error : new Refusal(500, "that went wrong here");
      send(response, status, "application/json", JSON.stringify({ error: message }));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (`${request.method} ${request.url}`) {
      case "GET /":
        return send(response, 200, "text/html; charset=utf-8", page);
      case "GET /about":
        return send(response, 200, "application/json", about);
      case "POST /run":
        if (request.headers["content-type"] !== "application/json") throw new Refusal(415, "JSON is wanted");
        return await run(wishOf(await bodyOf(request), offered), response);
      default:
        throw new Refusal(404, "there is nothing here");
    }
  }

  async function run({ language, code, input }: Wish, response: ServerResponse): Promise<void> {
    if (queue.isFull) throw new Refusal(429, "too many programs are waiting: try again later");
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    response.writeHead(200, { ...headers, "content-type": "text/event-stream", "cache-control": "no-store" });
    const tell = (event: string, data: object): void => {
      response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    };
    tell("waiting", {});
    // A character may come in two pieces.
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    try {
      const result = await queue.run(() => {
        gone.signal.throwIfAborted();
        tell("started", {});
        return hull.sandbox(language.image, {
          ...limits,
          command: language.command,
          files: { [language.file]: code },
          stdin: input,
          pull: "never",
          isolation: "auto",
          signal: gone.signal,
          onOutput: (chunk, stream) =>
            tell("output", { stream, text: decoders[stream].decode(chunk, { stream: true }) }),
        });
      });
      const { outcome, code: status, truncated, usage, confinement } = result;
      tell("end", { outcome, code: status, truncated, usage, confinement });
    } catch (error) {
      if (!gone.signal.aborted) {
        console.error(error);
        tell("failed", { error: HullError.from(error).code });
      }
    }
    response.end();
  }
}

/** What is said no to, with HTTP's status for it. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > longestRequest) throw new Refusal(413, `a program may have ${longestRequest} bytes`);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal(400, "that is no JSON");
  }
}

function wishOf(body: unknown, offered: readonly Language[]): Wish {
  const { language: id, code, input = "" } = (body ?? {}) as Readonly<Record<string, unknown>>;
  const language = offered.find((one) => one.id === id);
  if (language === undefined) throw new Refusal(400, `"language" is one of ${offered.map((one) => one.id).join(", ")}`);
  if (typeof code !== "string" || typeof input !== "string") throw new Refusal(400, '"code" and "input" are texts');
  return { language, code, input };
}

/** The page loads nothing from elsewhere, and is in nobody's frame. */
const headers = {
  "content-security-policy":
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
};

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  response.writeHead(status, { ...headers, "content-type": type }).end(body);
}
