/**
 * A program whose containers are on networks, run in a network namespace of its own, under Bun or Node:
 *
 *   network-program.ts daemon ADDRESS ARCHIVE
 *   network-program.ts engine FOLDER ARCHIVE
 */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { HullError } from "@hull/client";
import { openHull } from "./open.ts";

const [kind, place = "", archive = ""] = process.argv.slice(2);

/** Tries until the server inside listens. */
async function fetchText(url: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await (await fetch(url)).text();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Says hello to whoever comes, on a port of its own. */
async function helloServer(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.on("error", () => {}).end("hello\n"));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "::", resolve));
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

const failureOf = async (work: Promise<unknown>): Promise<HullError> => {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof HullError, `${failure}`);
  return failure;
};

await using hull = await openHull(kind, place);
await hull.images.import(createReadStream(archive));
{
  await using web = await hull.run("busybox", {
    command: ["httpd", "-f", "-h", "/srv/www"],
    publish: [{ container: 80 }],
    files: [
      { path: "/srv/www/index.html", content: "hello from inside\n" },
      { path: "/srv/secret", content: new Uint8Array([0x61, 0x0a]), mode: 0o600, uid: 12, gid: 34 },
    ],
  });
  assert.match(web.address ?? "", /^10\.\d+\.\d+\.\d+$/);
  assert.equal(await fetchText(`http://127.0.0.1:${web.port(80)}/`), "hello from inside\n");
  assert.equal(await fetchText(`http://${web.address}/`), "hello from inside\n");
  await using listing = await web.exec(["stat", "-c", "%a %u %g %s", "/srv/secret"]);
  assert.equal(await listing.stdout.text(), "600 12 34 2\n");
  assert.throws(() => web.port(81), /not published: run it with publish: \[\{ container: 81 \}\]/);

  await using other = await hull.run("busybox", {
    command: ["wget", "-qO-", `http://${web.address}/`],
    network: "bridge",
  });
  assert.equal((await other.collect()).stdout, "hello from inside\n");
}
{
  await using fixed = await hull.run("busybox", {
    command: ["httpd", "-f", "-h", "/etc"],
    publish: [{ container: 80, host: 8099, address: "0.0.0.0" }],
    files: [{ path: "/etc/motd", content: "fixed" }],
  });
  assert.equal(fixed.port(80), 8099);
  assert.equal(await fetchText("http://127.0.0.1:8099/motd"), "fixed");
}
{
  await using host = await hull.run("busybox", { command: ["httpd", "-f", "-p", "8077"], network: "host" });
  assert.deepEqual([host.address, host.port(8077)], ["127.0.0.1", 8077]);
  await using none = await hull.run("busybox", { command: ["ip", "-o", "link"] });
  assert.equal(none.address, undefined);
  assert.equal((await none.stdout.text()).trim().split("\n").length, 1);
}
{
  // This program itself is whom sandboxes may talk to, on the bridge's addresses.
  const { HULL_SUBNET = "", HULL_SUBNET6 = "" } = process.env;
  const [four, six] = [HULL_SUBNET.replace(/0\/24$/, "1"), HULL_SUBNET6.replace("/64", "1")] as const;
  await using server = await helloServer();
  await using other = await helloServer();
  const reached = async (address: string, allowed: string): Promise<string> => {
    // A new bridge looks for seconds whether somebody has its address of IPv6.
    const waits = address === four && allowed === six ? 1 : 20;
    const script = `for to in "-w ${waits} ${address} ${server.port}" "-w 1 ${address} ${other.port}"; do nc $to </dev/null || echo no; done`;
    const network = { allow: [{ address: allowed, port: server.port }] };
    const { stdout, stderr } = await hull.sandbox("busybox", {
      command: ["sh", "-c", script],
      timeMs: 60_000,
      network,
    });
    return stdout + stderr.replace(/^nc: .*\n/gm, "");
  };
  assert.equal(await reached(four, four), "hello\nno\n");
  assert.equal(await reached(six, six), "hello\nno\n");
  assert.equal(await reached(six, `${six.slice(0, -1)}/64`), "hello\nno\n");
  assert.equal(await reached(four, six), "no\nno\n");
  const network = { allow: [{ address: "localhost", port: 1 }] };
  const { stdout } = await hull.sandbox("busybox", { command: ["cat", "/etc/hosts"], network });
  assert.match(stdout, /^(127\.0\.0\.1|::1)\tlocalhost$/m);
  await writeFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  await assert.rejects(reached(six, six), {
    code: "failedPrecondition",
    message: /one of IPv6, which this host has not/,
  });
  await writeFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
}
if (kind === "engine") {
  // Another root is another place for ids, on the same network.
  await using other = await openHull(kind, `${place}-other`);
  await other.images.import(createReadStream(archive));
  const serve = (where: typeof hull, content: string) =>
    where.run("busybox", {
      id: "same",
      command: ["httpd", "-f", "-h", "/srv"],
      network: "bridge",
      files: [{ path: "/srv/who", content }],
    });
  await using one = await serve(hull, "one");
  {
    await using two = await serve(other, "two");
    assert.equal(await fetchText(`http://${one.address}/who`), "one");
    assert.equal(await fetchText(`http://${two.address}/who`), "two");
  }
  assert.equal(await fetchText(`http://${one.address}/who`), "one");
}
const run = (options: Parameters<typeof hull.run>[1]) => failureOf(hull.run("busybox", options));
assert.match((await run({ network: "nowhere" })).message, /no such network: "nowhere"; there are "none", "host"/);
assert.equal((await run({ network: "host", publish: [{ container: 80 }] })).code, "invalidArgument");
assert.match((await run({ publish: [{ container: 0 }] })).message, /port 0 of the container/);
assert.match((await run({ files: [{ path: "/../x", content: "" }] })).message, /"\/..\/x" can't be a file/);
process.env.CNI_PATH = "/nowhere";
assert.match((await run({ network: "bridge" })).message, /needs the CNI plugin "bridge".*install the CNI plugins/);
assert.deepEqual(await hull.containers.list(), []);
console.log("all well");
