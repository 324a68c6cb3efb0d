import { describe, expect, test } from "bun:test";
import { withDump, withTrace } from "./dump.ts";
import type { RegistryRequest, Send } from "./request.ts";

const request = (change: Partial<RegistryRequest> = {}): RegistryRequest => ({
  method: "GET",
  url: new URL("https://registry.test/v2/a/manifests/b?signature=secret"),
  headers: { authorization: "Bearer abc", accept: "application/json" },
  signal: new AbortController().signal,
  host: {} as RegistryRequest["host"],
  patience: "once",
  ...change,
});

const answering =
  (body: string, headers: Record<string, string>): Send =>
  async () =>
    new Response(body, { headers: { "content-length": String(body.length), ...headers } });

describe("what goes to and from a registry", () => {
  test("is shown without secrets, and the body is still there", async () => {
    let text = "";
    const send = withDump(
      answering('{"token": "abc", "expires_in": 3}', { "content-type": "application/json" }),
      (more) => {
        text += more;
      },
    );
    const response = await send(request());
    expect(await response.json()).toEqual({ token: "abc", expires_in: 3 });
    expect(text).toContain(
      "GET /v2/a/manifests/b HTTP/1.1\r\nHost: registry.test\r\nAuthorization: Bearer (hidden)\r\n",
    );
    expect(text).toContain("HTTP/1.1 200\r\n");
    expect(text).toContain('{"token": "(hidden)", "expires_in": 3}');
    expect(text).not.toContain("abc");
    expect(text).not.toContain("secret");
  });

  test("has a form's password hidden, and no long or binary body", async () => {
    let text = "";
    const send = withDump(answering("\0".repeat(1000), { "content-type": "application/octet-stream" }), (more) => {
      text += more;
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const response = await send(request({ method: "POST", headers, body: "grant_type=password&password=abc&scope=x" }));
    expect((await response.arrayBuffer()).byteLength).toBe(1000);
    expect(text).toContain("grant_type=password&password=(hidden)&scope=x");
    expect(text).toContain("(1000 bytes)");
  });

  test("is traced in a line a request, failed ones too", async () => {
    const lines: string[] = [];
    await withTrace(answering("", {}), (line) => lines.push(line))(request());
    const failing = withTrace(
      () => Promise.reject(new Error("connection refused")),
      (line) => lines.push(line),
    );
    await expect(failing(request())).rejects.toThrow("connection refused");
    expect(lines[0]).toMatch(/^GET https:\/\/registry\.test\/v2\/a\/manifests\/b: status 200 after [\d.]+ ms$/);
    expect(lines[1]).toMatch(/: connection refused after [\d.]+ ms$/);
  });
});
