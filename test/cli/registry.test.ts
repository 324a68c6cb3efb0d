/** `hull login`, `push`, `save` and `history` as docker's users expect them, with Debian's docker-registry. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, noCli, openCli } from "../support/cli.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";

const lacking = noCli ?? noRegistry;
const suite = lacking === undefined ? describe : describe.skip;

suite(`hull and a registry that asks who we are${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  let cli: Cli;
  let registry: LocalRegistry;
  const before = process.env.DOCKER_CONFIG;

  beforeAll(async () => {
    cli = openCli();
    process.env.DOCKER_CONFIG = join(cli.folder, "docker");
    const passwords = join(cli.folder, "htpasswd");
    writeFileSync(passwords, `me:${await Bun.password.hash("s3cret", { algorithm: "bcrypt", cost: 4 })}\n`);
    const auth = `htpasswd: {realm: test, path: ${passwords}}`;
    registry = await LocalRegistry.start(join(cli.folder, "registry"), { auth });
    expect((await cli.run("load", "-i", join(cli.folder, "busybox.tar"))).status).toBe(0);
  });
  afterAll(async () => {
    if (before === undefined) delete process.env.DOCKER_CONFIG;
    else process.env.DOCKER_CONFIG = before;
    await registry[Symbol.asyncDispose]();
    await cli[Symbol.asyncDispose]();
  });

  test("login, push, rmi, pull, logout", async () => {
    const name = `${registry.host}/team/app:1`;
    await cli.ok("tag", "busybox", name);
    const refused = await cli.run("push", name);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('"hull login" keeps a name and password');
    const wrong = await cli.feed("wrong\n", "login", "-u", "me", "--password-stdin", registry.host);
    expect(wrong.stderr).toContain("refused the login");
    expect(wrong.stderr).not.toContain("wrong\n");
    const right = await cli.feed("s3cret\n", "login", "-u", "me", "--password-stdin", registry.host);
    expect(right).toMatchObject({ status: 0, stdout: "Login Succeeded\n" });
    const pushed = await cli.run("push", name);
    expect(pushed.stdout).toMatch(/: digest: sha256:[0-9a-f]{64} size: \d+\n$/);
    await cli.ok("rmi", name);
    expect(await cli.run("pull", "-q", name)).toMatchObject({ status: 0, stdout: `${name}\n` });
    expect(await cli.ok("logout", registry.host)).toBe(`Removing login credentials for ${registry.host}`);
    expect(await cli.ok("logout", registry.host)).toBe(`Not logged in to ${registry.host}`);
    expect((await cli.run("pull", "-q", name)).status).toBe(1);
  });

  test("save, and load of what it wrote; history", async () => {
    const archive = join(cli.folder, "saved.tar");
    await cli.ok("save", "-o", archive, "busybox");
    expect((await cli.run("load", "-i", archive)).stdout).toContain("busybox:latest");
    const none = await cli.run("save", "-o", join(cli.folder, "none.tar"), "nothing-like-it");
    expect(none.stderr).toContain('no such image: "nothing-like-it"');
    expect(await Bun.file(join(cli.folder, "none.tar")).exists()).toBe(false);
    expect(await cli.ok("history", "busybox")).toMatch(/^IMAGE +CREATED +CREATED BY +SIZE +COMMENT\n[0-9a-f]{12} /);
  });
});
