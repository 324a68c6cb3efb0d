import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hostsFromDirectories } from "./hosts-file.ts";
import { systemAuthorities } from "./system-ca.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hull-hosts-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text);
}

const all = ["pull", "resolve", "push", "referrers"] as const;

test("mirrors in the order of the text, the server last", async () => {
  put("ca.pem", "A");
  put("docker.io/own.pem", "B");
  put("docker.io/client.pem", "C");
  put(
    "docker.io/hosts.toml",
    `server = "https://upstream.example"
skip_verify = true
[host."http://second:5000/prefix/"]
  capabilities = ["pull", "resolve"]
  [host."http://second:5000/prefix/".header]
    X-One = "1"
    X-Many = ["2", "3"]
[host."https://first/whole"]
  ca = ["own.pem", "${directory}/ca.pem"]
  client = [["client.pem", ""]]
  override_path = true
`,
  );
  expect(await hostsFromDirectories([directory])("docker.io")).toEqual([
    {
      scheme: "http",
      host: "second:5000",
      path: "/prefix/v2",
      capabilities: ["pull", "resolve"],
      headers: { "x-one": "1", "x-many": "2, 3" },
    },
    {
      scheme: "https",
      host: "first",
      path: "/whole",
      capabilities: all,
      tls: { ca: ["B", "A"], client: { certificate: "C", key: "C" }, skipVerify: false },
    },
    {
      scheme: "https",
      host: "upstream.example",
      path: "/v2",
      capabilities: all,
      tls: { ca: undefined, client: undefined, skipVerify: true },
    },
  ]);
});

test("the folder of a domain: with its port in either form, without, the default; the first directory decides", async () => {
  const own = async (domain: string) =>
    (await hostsFromDirectories([join(directory, "one"), join(directory, "two")])(domain))[0]?.host;
  expect(await own("example.com:5000")).toBe("example.com:5000");
  const folders = [
    "two/_default",
    "two/example.com",
    "two/example.com:5000",
    "two/example.com_5000_",
    "one/example.com",
  ];
  for (const [index, folder] of folders.entries()) {
    put(`${folder}/hosts.toml`, `[host."https://mirror${index}"]`);
    expect(await own("example.com:5000")).toBe(`mirror${index}`);
  }
  expect(await own("other")).toBe("mirror0");
});

test("the server is the domain itself unless said", async () => {
  put("_default/hosts.toml", "");
  const provider = hostsFromDirectories([directory]);
  expect((await provider("docker.io")).map(({ host }) => host)).toEqual(["registry-1.docker.io"]);
  expect((await provider("localhost:5000"))[0]?.fallBackToHttp).toBe(true);
  expect((await hostsFromDirectories([directory], { plainHttp: true })("example.com"))[0]?.scheme).toBe("http");
});

test("Docker's layout of certificates", async () => {
  put("example.com/ca.crt", "A");
  put("example.com/client.cert", "B");
  expect(() => hostsFromDirectories([directory])("example.com")).toThrow('needs its key beside it, as "client.key"');
  put("example.com/client.key", "C");
  expect((await hostsFromDirectories([directory])("example.com"))[0]?.tls).toEqual({
    ca: ["A"],
    client: { certificate: "B", key: "C" },
  });
});

test("what is wrong is named, what means nothing is told", async () => {
  for (const [text, message] of [
    ["x =", "is no valid TOML"],
    ["server = 1", '"server" in'],
    ['host = "a"', '"host" in'],
    ['server = "ftp://a"', "must be an http or https address"],
    ['capabilities = ["fly"]', '"capabilities" in'],
    ['[host."https://a"]\nca = "missing"', 'must be a file that exists, not "missing"'],
    ['[host."https://a"]\nca = 1', '"host."https://a".ca" in'],
    ['skip_verify = "yes"', "must be true or false"],
    ['[host."https://a"]\nclient = [["a", "b"], ["c", "d"]]', "must be one certificate"],
    ["[header]\nx = 1", "must be a table of texts"],
  ] as const) {
    put("a/hosts.toml", text);
    expect(() => hostsFromDirectories([directory])("a")).toThrow(message);
  }
  put("a/hosts.toml", 'dial_tmeout = "5s"');
  const warnings: string[] = [];
  await hostsFromDirectories([directory], { warn: (text) => warnings.push(text) })("a");
  expect(warnings).toEqual([`"dial_tmeout" in "${directory}/a/hosts.toml" has no effect`]);
});

test("the machine's authorities: the named file and directories, read again when they change", () => {
  put("bundle.pem", "A");
  put("more/b.pem", "B");
  put("more/README", "no");
  const environment = { SSL_CERT_FILE: join(directory, "bundle.pem"), SSL_CERT_DIR: `${directory}/more:/nowhere` };
  expect(systemAuthorities(environment)).toEqual(["A", "B"]);
  expect(systemAuthorities(environment)).toBe(systemAuthorities(environment) ?? []);
  put("bundle.pem", "C");
  utimesSync(join(directory, "bundle.pem"), 1, 1);
  expect(systemAuthorities(environment)).toEqual(["C", "B"]);
  expect(systemAuthorities({ SSL_CERT_FILE: "/nowhere" })).toBeUndefined();
});

test("dial_timeout is a duration", async () => {
  put("a/hosts.toml", 'dial_timeout = "1m5s"');
  expect((await hostsFromDirectories([directory])("a"))[0]).toMatchObject({ dialTimeout: 65_000 });
  for (const wrong of ['"-1s"', '"soon"', "5"]) {
    put("a/hosts.toml", `dial_timeout = ${wrong}`);
    expect(() => hostsFromDirectories([directory])("a")).toThrow();
  }
});
