/** Registries that ask who we are, and whose certificate only an authority of one's own vouches for. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createSign } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contextFor } from "@hull/engine/context";
import { defaultHosts, openRegistry } from "@hull/engine/registry/index";
import { busyboxLayer, writeLayout } from "../../scripts/image.ts";
import type { Daemon } from "../support/containerd.ts";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { pullByDaemon } from "../support/transfer.ts";

const lacking = noContainerd ?? noRegistry;
const suite = lacking === undefined ? describe : describe.skip;

suite(`access to registries${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let shared: Scratch;
  let layout: string;
  /** A self-signed certificate of 127.0.0.1, and its key. */
  let tls: { certificate: string; key: string };

  beforeAll(async () => {
    shared = scratch();
    layout = shared.join("layout");
    writeLayout(layout, [{ name: "example.com/a:1", layers: [{ tar: busyboxLayer(), compression: "gzip" }] }]);
    tls = { certificate: shared.join("cert.pem"), key: shared.join("key.pem") };
    const made = await runProgram(
      `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout ${tls.key} -out ${tls.certificate}`.split(
        " ",
      ),
    );
    expect(made.status).toBe(0);
  });
  afterAll(() => shared[Symbol.dispose]());

  let folder: Scratch;
  let daemon: Daemon;
  beforeEach(async () => {
    folder = scratch();
    daemon = await startHull(folder.path);
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const ctr = (...args: string[]) => runProgram(["ctr", "--address", daemon.address, ...args]);

  /** The registry's blobs, fetched by the engine's own client. */
  async function fetchAs(reference: string, username?: string, secret?: string): Promise<string> {
    const registry = openRegistry({
      hosts: defaultHosts({ plainHttp: true }),
      ...(username === undefined || secret === undefined ? {} : { credentials: () => ({ username, secret }) }),
    });
    const { signal } = contextFor("test");
    const { descriptor } = await registry.resolve(reference, signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await registry.fetch(reference, descriptor, { signal })) chunks.push(chunk);
    return new Bun.CryptoHasher("sha256").update(Buffer.concat(chunks)).digest("hex");
  }

  test("a name and a password", async () => {
    const passwords = folder.join("htpasswd");
    const hash = await Bun.password.hash("s3cret", { algorithm: "bcrypt", cost: 4 });
    writeFileSync(passwords, `me:${hash}\n`);
    await using registry = await LocalRegistry.start(folder.join("registry"), {
      auth: `htpasswd: {realm: test, path: ${passwords}}`,
    });
    const digest = await registry.push(layout, "a:1", "me:s3cret");
    const reference = `${registry.host}/a:1`;
    expect(`sha256:${await fetchAs(reference, "me", "s3cret")}`).toBe(digest);
    await expect(fetchAs(reference, "me", "wrong")).rejects.toThrow("401");
    await expect(pullByDaemon(daemon.address, reference)).rejects.toThrow("log in, or check the credentials");
    expect(await ctr("images", "pull", "--plain-http", "--user", "me:s3cret", reference)).toMatchObject({ status: 0 });
    expect((await ctr("images", "ls")).stdout).toContain(digest);
  });

  test("a token from a token server, for whoever may have one", async () => {
    const asked: string[] = [];
    const tokens = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const form = request.method === "POST" ? new URLSearchParams(await request.text()) : undefined;
        const url = new URL(request.url);
        const [scope, service] = ["scope", "service"].map((key) => (form ?? url.searchParams).get(key) ?? "");
        const basic = Buffer.from(request.headers.get("authorization")?.slice(6) ?? "", "base64").toString();
        const who = form === undefined ? basic : `${form.get("username")}:${form.get("password")}`;
        asked.push(`${request.method} ${scope}`);
        if (who !== "me:s3cret") return new Response("", { status: 401 });
        const token = signToken(scope ?? "", service ?? "");
        return Response.json({ token, access_token: token, expires_in: 300 });
      },
    });
    try {
      await using registry = await LocalRegistry.start(folder.join("registry"), {
        auth: `token: {realm: "http://127.0.0.1:${tokens.port}/token", service: registry, issuer: test, rootcertbundle: ${tls.certificate}}`,
      });
      const digest = await registry.push(layout, "a:1", "me:s3cret");
      const reference = `${registry.host}/a:1`;
      asked.length = 0;
      expect(`sha256:${await fetchAs(reference, "me", "s3cret")}`).toBe(digest);
      expect(asked).toEqual(["POST repository:a:pull"]);
      await expect(fetchAs(reference, "me", "wrong")).rejects.toThrow("check the user name and password");
      await expect(fetchAs(reference)).rejects.toThrow("check the user name and password");
      const pulled = await ctr("images", "pull", "--plain-http", "--user", "me:s3cret", reference);
      expect(pulled).toMatchObject({ status: 0 });
    } finally {
      await tokens.stop(true);
    }
  });

  /** A token as the distribution project's token specification has it, signed with the certificate's key. */
  function signToken(scope: string, service: string): string {
    const certificate = readFileSync(tls.certificate, "utf8").replace(/-----[^-]+-----|\n/g, "");
    const [type = "", name = "", actions = ""] = scope.split(":");
    const now = Math.trunc(Date.now() / 1000);
    const claims = {
      iss: "test",
      sub: "me",
      aud: service,
      exp: now + 300,
      nbf: now - 10,
      iat: now,
      jti: crypto.randomUUID(),
      access: type === "" ? [] : [{ type, name, actions: actions.split(",") }],
    };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ typ: "JWT", alg: "ES256", x5c: [certificate] })}.${part(claims)}`;
    const key = { key: readFileSync(tls.key), dsaEncoding: "ieee-p1363" } as const;
    return `${text}.${createSign("SHA256").update(text).sign(key).toString("base64url")}`;
  }

  test("TLS: a certificate nobody vouches for; an authority for one registry; one that the system trusts", async () => {
    await using registry = await LocalRegistry.start(folder.join("registry"), { tls });
    const digest = await registry.push(layout, "a:1");
    const reference = `${registry.host}/a:1`;
    await expect(pullByDaemon(daemon.address, reference, { plainHttp: false })).rejects.toThrow("is not trusted");

    const hosts = folder.join("hosts");
    mkdirSync(join(hosts, registry.host), { recursive: true });
    writeFileSync(join(hosts, registry.host, "hosts.toml"), `ca = "${tls.certificate}"\n`);
    await pullByDaemon(daemon.address, reference, { plainHttp: false, hostDirectory: hosts });
    expect((await ctr("images", "ls")).stdout).toContain(digest);

    await ctr("images", "rm", "--sync", reference);
    await daemon.stop();
    daemon = await startHull(
      folder.path,
      `version = 3\n[plugins.'io.containerd.transfer.v1.local']\nconfig_path = "${hosts}"\n`,
    );
    await pullByDaemon(daemon.address, reference, { plainHttp: false });

    await ctr("images", "rm", "--sync", reference);
    await daemon.stop();
    daemon = await startHull(folder.path, "", { env: { SSL_CERT_FILE: tls.certificate } });
    await pullByDaemon(daemon.address, reference, { plainHttp: false });
    expect((await ctr("images", "ls")).stdout).toContain(digest);
  });
});
