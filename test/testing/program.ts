/**
 * A test suite's use of containers, as a program in a network namespace of its own, under Bun or Node:
 *
 *   program.ts ADDRESS|engine ARCHIVE
 */
import assert from "node:assert/strict";
import { createReadStream, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { HullError } from "@hull/client";
import { forExit, forHealth, forLog, forPort, openSession } from "@hull/testing";

const [address = "", archive = ""] = process.argv.slice(2);

const failureOf = async (work: Promise<unknown>): Promise<HullError> => {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof HullError, `${failure}`);
  return failure;
};

const folders = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("hull-testing-"));
const before = new Set(folders());
{
  await using session = await openSession({ address });
  await session.withHull((hull) => hull.images.import(createReadStream(archive)));
  {
    await using web = await session.startContainer("busybox", {
      command: ["sh", "-c", "echo preparing; sleep 0.3; echo ready >&2; exec httpd -f -h /srv"],
      files: [{ path: "/srv/index.html", content: "a page" }],
      ports: [80],
      wait: [forPort(80), forLog(/^ready$/), forHealth(["wget", "-qO", "/dev/null", "http://127.0.0.1/"])],
    });
    assert.equal(await (await fetch(`http://${web.host}:${web.port(80)}/`)).text(), "a page");
    assert.equal(web.output, "preparing\nready\n");
    const { code, stdout } = await web.exec(["sh", "-c", "cat; exit 4"], { stdin: "typed" });
    assert.deepEqual([code, stdout], [4, "typed"]);
    for await (const line of web.lines()) if (line === "ready") break;
  }
  {
    // What listens on loopback alone isn't reached from outside.
    const lonely = session.startContainer("busybox", {
      command: ["httpd", "-f", "-p", "127.0.0.1:80"],
      ports: [80],
      wait: [forPort(80)],
      timeoutMs: 500,
    });
    assert.match((await failureOf(lonely)).message, /did not come up: not within 500 ms, waited for: port 80/);
  }
  {
    const network = await session.createNetwork();
    await using server = await session.startContainer("busybox", {
      command: ["httpd", "-f", "-h", "/etc"],
      files: [{ path: "/etc/motd", content: "found by name" }],
      network,
      names: ["server", "server.example.test"],
      wait: [forPort(80)],
    });
    await using client = await session.startContainer("busybox", {
      command: ["wget", "-qO-", "http://server.example.test/motd"],
      network,
      names: ["client"],
      wait: [forExit(0), forLog("found by name")],
    });
    assert.equal(client.output, "found by name\n");
    const hosts = (await server.exec(["cat", "/etc/hosts"])).stdout;
    assert.match(hosts, /^10\.\S+\tserver server.example.test$/m);
    assert.match(hosts, /^10\.\S+\tclient$/m);
    assert.equal((await server.exec(["hostname"])).stdout, "server\n");
    // No other network reaches it.
    await using other = await session.createNetwork();
    const wget = [
      "sh",
      "-c",
      `exec 2>/dev/null; timeout 2 wget -qO- http://${server.container.address}/motd || echo not reached`,
    ];
    await using stranger = await session.startContainer("busybox", {
      command: wget,
      network: other,
      wait: [forExit()],
    });
    await using outsider = await session.startContainer("busybox", {
      command: wget,
      network: "bridge",
      wait: [forExit()],
    });
    for (const { output } of [stranger, outsider]) assert.equal(output, "not reached\n");
    assert.equal((await failureOf(network[Symbol.asyncDispose]())).code, "failedPrecondition");
  }
  const start = (options: Parameters<typeof session.startContainer>[1]) =>
    failureOf(session.startContainer("busybox", options));
  const ended = await start({ command: ["sh", "-c", "echo no config >&2; exit 3"], wait: [forPort(80)] });
  assert.equal(ended.code, "failedPrecondition");
  assert.match(ended.message, /container of image "busybox" did not come up: it ended with status 3/);
  assert.match(ended.message, /It said:\nno config\n$/);
  const late = await start({ command: ["sh", "-c", "echo hm; sleep 100"], wait: [forLog("ready")], timeoutMs: 300 });
  assert.equal(late.code, "deadlineExceeded");
  assert.match(late.message, /not within 300 ms, waited for: the log line "ready"\nIt said:\nhm\n$/);
  assert.match((await start({ command: ["true"], wait: [forLog("x")] })).message, /output ended without that/);
  assert.match(
    (await start({ command: ["false"], wait: [forExit()] })).message,
    /ended with status 1, waited for: its/,
  );
  assert.match((await start({ names: ["a"] })).message, /names are for networks of createNetwork/);
  assert.equal((await start({ pull: "never", command: ["true"], names: ["a b"] })).code, "invalidArgument");
  await session.withHull(async (hull) => assert.deepEqual(await hull.containers.list(), []));

  // It goes with the session.
  await session.startContainer("busybox", { command: ["sleep", "1000"] });
}
assert.deepEqual(
  folders().filter((name) => !before.has(name)),
  [],
);
console.log("all well");
