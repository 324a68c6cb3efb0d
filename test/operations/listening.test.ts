/** Where the daemon listens and what changes while it runs: limited sockets, TCP with TLS, socket activation, SIGHUP, its control group. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/ttrpc/v1/events";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { releaseOf } from "@hull/api/release";
import { connectGrpc } from "@hull/client/transport/grpc";
import { close } from "@hull/sys/fd";
import { listenUnix } from "@hull/sys/socket";
import { connectTtrpc, ttrpcClient } from "@hull/ttrpc";
import { daemonCommand, type Place, placeIn, refused, startDaemon } from "../daemon/fixture.ts";
import { runProgram, type Server, startServer } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const needsRoot = process.getuid?.() === 0 ? "" : " (skipped: needs root)";

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Waits until a server has logged something, for at most five seconds. */
async function logged(server: Server, pattern: RegExp): Promise<string> {
  for (let i = 0; i < 2000 && !pattern.test(server.log()); i++) await Bun.sleep(20);
  expect(server.log()).toMatch(pattern);
  return server.log();
}

describe.skipIf(needsRoot !== "")(`the daemon's sockets${needsRoot}`, () => {
  let folder: Scratch;
  let number = 0;
  beforeAll(() => {
    folder = scratch();
  });
  afterAll(() => folder[Symbol.dispose]());
  /** A new place with a configuration; `HERE` in its text is the place's folder. */
  const prepare = (text: string): { place: Place; file: string; here: string } => {
    const here = folder.join(String(++number));
    mkdirSync(here);
    const file = `${here}/config.toml`;
    writeFileSync(file, text.replaceAll("HERE", here));
    return { place: placeIn(here), file, here };
  };

  test("limited sockets: one for reading, one for a namespace", async () => {
    const { place, file, here } = prepare(
      '[access.look]\naddress = "HERE/look.sock"\nread_only = true\n[access.ci]\naddress = "HERE/ci.sock"\nnamespaces = ["ci"]\n',
    );
    await using daemon = await startDaemon(place, file);
    expect(daemon.log()).not.toContain("level=warn");
    const metadata = { "containerd-namespace": "ci" };
    await using full = await connectGrpc(place.address);
    await full.client(NamespacesDefinition).create({ namespace: { name: "ci", labels: {} } });
    await full.client(NamespacesDefinition).create({ namespace: { name: "other", labels: {} } });
    await using look = await connectGrpc(`${here}/look.sock`);
    expect((await look.client(NamespacesDefinition).list({})).namespaces.map(({ name }) => name)).toEqual([
      "ci",
      "other",
    ]);
    expect(await failureOf(look.client(ImagesDefinition, { metadata }).create({ image: { name: "x" } }))).toMatchObject(
      {
        code: "permissionDenied",
        message: expect.stringContaining('method "containerd.services.images.v1.Images/Create"'),
      },
    );
    await using ci = await connectGrpc(`${here}/ci.sock`);
    expect((await ci.client(NamespacesDefinition).list({})).namespaces.map(({ name }) => name)).toEqual(["ci"]);
    expect((await ci.client(ImagesDefinition, { metadata }).list({})).images).toEqual([]);
    const other = ci.client(ImagesDefinition, { metadata: { "containerd-namespace": "other" } });
    expect(await failureOf(other.list({}))).toMatchObject({ code: "permissionDenied" });
  });

  test("a limited socket without a limit stops the start", async () => {
    const { place, file } = prepare('[access.all]\naddress = "HERE/all.sock"\n');
    const { status, stderr } = await refused(place, file);
    expect(status).toBe(1);
    expect(stderr).toContain('table [access.all]: set "read_only" or "namespaces"');
  });

  test("TCP serves clients with a certificate of the authority, and nobody else", async () => {
    const { place, file, here } = prepare(
      '[grpc]\ntcp_address = "127.0.0.1:0"\ntcp_tls_cert = "HERE/server.pem"\ntcp_tls_key = "HERE/server.key"\ntcp_tls_ca = "HERE/ca.pem"\n',
    );
    await makeCertificates(here);
    await using daemon = await startDaemon(place, file);
    const [, port = ""] = /msg="serving... \(tcp\)" address=\S+ port=(\d+)/.exec(daemon.log()) ?? [];
    const pem = (name: string): string => readFileSync(`${here}/${name}`, "utf8");
    const ask = (own: object): Promise<number | string> =>
      new Promise((resolve) => {
        const client = connectHttp2("https://localhost", {
          createConnection: () =>
            connectTls({
              host: "127.0.0.1",
              port: Number(port),
              ca: pem("ca.pem"),
              ALPNProtocols: ["h2"],
              servername: "localhost",
              ...own,
            }),
        });
        client.once("error", (error) => resolve(String(error)));
        client.once("close", () => resolve("closed"));
        const path = `/${VersionDefinition.fullName}/Version`;
        const call = client.request({
          ":method": "POST",
          ":path": path,
          "content-type": "application/grpc",
          te: "trailers",
        });
        call.once("trailers", (trailers) => {
          resolve(Number(trailers["grpc-status"]));
          client.destroy();
        });
        call.on("data", () => {});
        call.once("error", (error) => resolve(String(error)));
        call.end(new Uint8Array(5));
      });
    expect(await ask({ cert: pem("client.pem"), key: pem("client.key") })).toBe(0);
    expect(await ask({})).not.toBe(0);
    expect(await ask({ cert: pem("stranger.pem"), key: pem("stranger.key") })).not.toBe(0);
  });

  test("TCP without certificates of clients is refused", async () => {
    const { place, file } = prepare('[grpc]\ntcp_address = "127.0.0.1:0"\n');
    const { status, stderr } = await refused(place, file);
    expect(status).toBe(1);
    expect(stderr).toContain('"grpc.tcp_address" needs "grpc.tcp_tls_cert"');
  });

  test("sockets that the service manager opened are served, and stay its own", async () => {
    const { place, file, here } = prepare("");
    const unused = `${here}/unused.sock`;
    const paths = [place.address, `${place.address}.ttrpc`, unused];
    const descriptors = paths.map((path) => listenUnix(path));
    try {
      // The pid in the environment has to be the daemon's own: the shell becomes the daemon.
      const shell = ["bash", "-c", 'LISTEN_PID=$$ LISTEN_FDS=3 exec "$@"', "bash"];
      const command = [...shell, ...daemonCommand(place, file)];
      await using daemon = await startServer(command, /successfully booted/, { descriptors });
      expect(daemon.log()).toContain(`nothing is configured to be served at \\"${unused}\\"`);
      await using connection = await connectGrpc(place.address);
      expect(await connection.client(VersionDefinition).version({})).toMatchObject({ version: releaseOf("0.1.0") });
      await using ttrpc = await connectTtrpc(`${place.address}.ttrpc`);
      const shim = ttrpcClient(EventsDefinition, ttrpc);
      expect(await failureOf(shim.forward({ envelope: undefined }))).toMatchObject({ code: "invalidArgument" });
      await ttrpc.close();
      await daemon.stop();
      expect(paths.map((path) => existsSync(path))).toEqual([true, true, true]);
    } finally {
      for (const fd of descriptors) close(fd);
    }
  });

  test("SIGHUP takes what can change, says what can't, and a bad file changes nothing", async () => {
    const { place, file } = prepare('[metrics]\naddress = "127.0.0.1:0"\n');
    await using daemon = await startDaemon(place, file);
    const reload = async (text: string, pattern: RegExp): Promise<string> => {
      writeFileSync(file, text);
      process.kill(daemon.pid, "SIGHUP");
      return await logged(daemon, pattern);
    };
    const gc = '[plugins."io.containerd.gc.v1.scheduler"]\nschedule_delay = "5s"\n';
    const log = await reload(
      `oom_score = 5\n[debug]\nlevel = "debug"\n[metrics]\naddress = "localhost:0"\n${gc}`,
      /configuration reloaded.*\n.*some changes need a restart.*\n/,
    );
    expect(log).toContain(
      'changed="debug.level, metrics.address, plugins.\\"io.containerd.gc.v1.scheduler\\".schedule_delay"',
    );
    expect(log).toContain("keys=oom_score");
    expect(log.match(/serving... \(metrics\)/g)).toHaveLength(2);
    expect(await reload('[debug]\nlevel = "loud"\n', /stays as it was/)).toContain('not \\"loud\\"');
    expect(await reload("", /changed="debug.level/)).toContain("changed=");
    await using connection = await connectGrpc(place.address);
    expect(await connection.client(VersionDefinition).version({})).toMatchObject({ version: releaseOf("0.1.0") });
  });

  test("the daemon enters the control group that it is told", async () => {
    const group = `/hull-test-${process.pid}`;
    const { place, file } = prepare(`[cgroup]\npath = "${group}"\n`);
    const directories: string[] = [];
    {
      await using daemon = await startDaemon(place, file);
      const lines = readFileSync(`/proc/${daemon.pid}/cgroup`, "utf8").trim().split("\n");
      expect(lines.filter((line) => line.endsWith(`:${group}`)).length).toBeGreaterThan(0);
    }
    for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
      const [, target = ""] = /^\S+ \S+ \S+ \/ (\/sys\/fs\/cgroup\S*) .* - cgroup2? /.exec(line) ?? [];
      if (target !== "" && existsSync(`${target}${group}`)) directories.push(`${target}${group}`);
    }
    expect(directories.length).toBeGreaterThan(0);
    for (const directory of directories) {
      for (let i = 0; i < 1000 && existsSync(directory); i++) {
        try {
          rmdirSync(directory);
        } catch {
          // Its last process is still ending.
          await Bun.sleep(20);
        }
      }
      expect(existsSync(directory)).toBe(false);
    }
  });
});

/** An authority (`ca`), certificates of it (`server`, `client`), and one of nobody (`stranger`). */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = async (...args: string[]): Promise<void> => {
    const { status, stderr } = await runProgram(["openssl", ...args], { cwd: folder });
    if (status !== 0) throw new Error(stderr);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const own = (name: string): string[] => ["-keyout", `${name}.key`, "-subj", `/CN=${name}`];
  for (const name of ["ca", "stranger"])
    await openssl("req", "-x509", ...key, ...own(name), "-out", `${name}.pem`, "-days", "2");
  writeFileSync(`${folder}/names`, "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  for (const name of ["server", "client"]) {
    await openssl("req", ...key, ...own(name), "-out", `${name}.csr`);
    const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
    await openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signed);
  }
}
