import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { dockerCredentials, eraseCredentials, storeCredentials } from "./docker-config.ts";

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "hull-docker-config-"));
  readonly file = join(this.path, "config.json");
  readonly #search = process.env.PATH;

  write(config: unknown): void {
    writeFileSync(this.file, typeof config === "string" ? config : JSON.stringify(config));
  }

  /** A helper that is found by its name. */
  helper(name: string, script: string): void {
    const path = join(this.path, `docker-credential-${name}`);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    process.env.PATH = `${this.path}:${this.#search}`;
  }

  [Symbol.dispose](): void {
    process.env.PATH = this.#search;
    rmSync(this.path, { recursive: true, force: true });
  }
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("Docker's config.json", () => {
  test("gives names and secrets, tokens, and nothing for hosts it doesn't know", async () => {
    using folder = new Folder();
    folder.write({
      auths: {
        "one.example:5000": { auth: base64("me:a:b") },
        "https://two.example/v1/": { auth: base64("me:x"), identitytoken: "refresh" },
        "three.example": { registrytoken: "bearer" },
        "https://index.docker.io/v1/": { username: "hub", password: "secret" },
      },
    });
    const find = dockerCredentials(folder.file);
    expect(await find("one.example:5000")).toEqual({ username: "me", secret: "a:b" });
    expect(await find("two.example")).toEqual({ identityToken: "refresh" });
    expect(await find("three.example")).toEqual({ registryToken: "bearer" });
    for (const hub of ["docker.io", "registry-1.docker.io", "index.docker.io"])
      expect(await find(hub)).toEqual({ username: "hub", secret: "secret" });
    expect(await find("one.example")).toBeUndefined();
    expect(await dockerCredentials(join(folder.path, "none.json"))("one.example")).toBeUndefined();
  });

  test("asks the helper of a registry, else the store, and falls back to the file", async () => {
    using folder = new Folder();
    folder.write({
      auths: { "c.example": { auth: base64("file:1") } },
      credHelpers: { "a.example": "one" },
      credsStore: "two",
    });
    folder.helper(
      "one",
      'read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"$1-$host\\",\\"Secret\\":\\"s\\"}"',
    );
    folder.helper(
      "two",
      'read host; [ "$host" = b.example ] && echo \'{"Username":"<token>","Secret":"r"}\' && exit; echo "credentials not found in native keychain"; exit 1',
    );
    const find = dockerCredentials(folder.file);
    expect(await find("a.example")).toEqual({ username: "get-a.example", secret: "s" });
    expect(await find("b.example")).toEqual({ identityToken: "r" });
    expect(await find("c.example")).toEqual({ username: "file", secret: "1" });
  });

  test("errors name the file or helper and hold no secret", async () => {
    using folder = new Folder();
    folder.write('{"auths": {"a.example": {"auth": "c2VjcmV0"');
    await expect(dockerCredentials(folder.file)("a.example")).rejects.toThrow(`"${folder.file}" is no valid JSON`);
    folder.write({ credsStore: "broken" });
    folder.helper("broken", "echo secret-text; exit 3");
    const failure = await Promise.resolve(dockerCredentials(folder.file)("a.example")).catch(
      (error: Error) => error.message,
    );
    expect(failure).toBe('credential helper "docker-credential-broken" failed (status 3)');
    folder.write({ credsStore: "../../bin/sh" });
    await expect(dockerCredentials(folder.file)("a.example")).rejects.toThrow("must be a name");
  });

  test("keeps and forgets credentials, leaves all else of the file alone", async () => {
    using folder = new Folder();
    folder.write({ HttpHeaders: { a: "b" }, auths: { "a.example": { auth: base64("x:y") } } });
    await storeCredentials(folder.file, "docker.io", { username: "me", secret: "s" });
    expect(statSync(folder.file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(folder.file, "utf8"))).toEqual({
      HttpHeaders: { a: "b" },
      auths: { "a.example": { auth: base64("x:y") }, "https://index.docker.io/v1/": { auth: base64("me:s") } },
    });
    expect(await eraseCredentials(folder.file, "registry-1.docker.io")).toBe(true);
    expect(await eraseCredentials(folder.file, "docker.io")).toBe(false);
    expect(await dockerCredentials(folder.file)("a.example")).toEqual({ username: "x", secret: "y" });
  });

  test("what is stored is what is found, for any name and secret", async () => {
    using folder = new Folder();
    const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(part, part, async (name, secret) => {
        const username = name.replaceAll(":", "-");
        fc.pre(!secret.endsWith("\0"));
        await storeCredentials(folder.file, "a.example:1", { username, secret });
        expect(await dockerCredentials(folder.file)("a.example:1")).toEqual({ username, secret });
      }),
      { numRuns: 50 },
    );
  });

  test("any JSON is read or refused, never crashes", async () => {
    using folder = new Folder();
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        folder.write(text.replace(/credsStore/g, "x"));
        await Promise.resolve(dockerCredentials(folder.file)("a.example")).catch((error: { code: string }) =>
          expect(error.code).toBe("invalidArgument"),
        );
      }),
      { numRuns: 100 },
    );
  });
});
