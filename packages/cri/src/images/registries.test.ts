import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imagesTable } from "../config.ts";
import { readRegistries } from "./registries.ts";

const read = (registry: object) => readRegistries(imagesTable.parse({ registry }).registry);
const addresses = async (registry: object, domain: string) =>
  (await read(registry).hosts(domain)).map(({ scheme, host, path }) => `${scheme}://${host}${path}`);

describe("the table of registries", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hull-registries-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("several directories are looked through, the first that has a registry's decides", async () => {
    for (const [directory, server] of [
      ["one/a.io", "https://first"],
      ["two/a.io", "https://second"],
      ["two/b.io", "http://third:1"],
    ]) {
      mkdirSync(join(folder, directory ?? ""), { recursive: true });
      writeFileSync(join(folder, directory ?? "", "hosts.toml"), `server = "${server}"\n`);
    }
    const config_path = `${join(folder, "one")}:${join(folder, "two")}`;
    expect(await addresses({ config_path }, "a.io")).toEqual(["https://first/v2"]);
    expect(await addresses({ config_path }, "b.io")).toEqual(["http://third:1/v2"]);
    expect(await addresses({ config_path }, "c.io")).toEqual(["https://c.io/v2"]);
  });

  test("headers are lists, sent as one line", () => {
    expect(read({ headers: { "X-Meta-Node": ["a", "b"] } }).headers).toEqual({ "x-meta-node": "a, b" });
    expect(() => read({ headers: { a: "b" } })).toThrow('"registry.headers.a" must be a list of strings');
  });

  test("mirrors come before the registry, and are used though their table is deprecated", async () => {
    const mirrors = {
      "docker.io": { endpoint: ["http://mirror:5000/v2/hub", "localhost:1"] },
      "*": { endpoint: ["https://all"] },
      "own.io": { endpoint: ["http://own.io"] },
    };
    expect(await addresses({ mirrors }, "docker.io")).toEqual([
      "http://mirror:5000/v2/hub",
      "http://localhost:1/v2",
      "https://registry-1.docker.io/v2",
    ]);
    expect(await addresses({ mirrors }, "r.io")).toEqual(["https://all/v2", "https://r.io/v2"]);
    expect(await addresses({ mirrors }, "own.io")).toEqual(["http://own.io/v2"]);
    expect(read({ mirrors }).deprecated).toEqual(["cri-registry-mirrors"]);
    expect(() => read({ mirrors, config_path: "/else" })).toThrow(
      "`mirrors` cannot be set when `config_path` is provided",
    );
    expect(() => read({ mirrors: { a: { endpoint: ["ftp://x"] } } })).toThrow("parse registry endpoint");
  });

  test("configs and auths give certificates and credentials", async () => {
    const ca_file = join(folder, "ca.pem");
    writeFileSync(ca_file, "PEM");
    const configs = {
      "r.io": { tls: { ca_file, insecure_skip_verify: true }, auth: { username: "u", password: "p" } },
    };
    const auths = { "https://s.io": { auth: "eDp5" }, "t.io:5": { identitytoken: "i" } };
    const { hosts, auth, deprecated } = read({ configs, auths });
    expect(await hosts("r.io")).toMatchObject([{ host: "r.io", tls: { ca: ["PEM"], skipVerify: true } }]);
    expect(auth("r.io")).toMatchObject({ username: "u", password: "p" });
    expect(auth("s.io")).toMatchObject({ auth: "eDp5" });
    expect(auth("t.io:5")).toMatchObject({ identityToken: "i" });
    expect(auth("u.io")).toBeUndefined();
    expect(deprecated).toEqual(["cri-registry-configs", "cri-registry-auths"]);
    expect(() => read({ configs: { r: { tls: { ca_file: join(folder, "none") } } } })).toThrow("can't be read");
    expect(() => read({ configs: { r: { tls: { cert_file: ca_file } } } })).toThrow("needs both");
    expect(() => read({ configs: { r: 1 } })).toThrow('"registry.configs.r" must be a table');
  });
});
