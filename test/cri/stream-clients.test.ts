/** Clients of attach and port-forward that are slow, or vanish, and those whom the daemon leaves: whatever they do is nobody else's concern. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { noPods } from "../support/cri.ts";
import { patternChecksum } from "../support/mover/index.ts";
import { ways } from "../support/mover/ways.ts";
import { contentOf } from "../support/processes.ts";
import { type StreamClient, StreamsPlace, until } from "./streams-place.ts";

setDefaultTimeout(120_000);

const MiB = 2 ** 20;
const bytes = 8 * MiB;
const whole = { bytes, checksum: patternChecksum(bytes) };
const skipped = noPods === undefined ? "" : ` (skipped: ${noPods})`;
const ports = { echo: 7071, zero: 7072, sleep: 7073 };

const servers = [
  `nc -ll -p ${ports.echo} -e cat`,
  `nc -ll -p ${ports.zero} -e cat /dev/zero`,
  `nc -ll -p ${ports.sleep} -e sleep 30000`,
];

describe.skipIf(noPods !== undefined)(`clients of streams${skipped}`, () => {
  let place: StreamsPlace;
  let before: { daemon: number; shim: number };
  let memory: number;
  const ids = { cat: "", zero: "", sleep: "" };

  /** Everybody else's bytes come, meanwhile. */
  async function othersGoOn(): Promise<void> {
    for (const way of ways.filter(({ name }) => ["exec, in and out", "attach, in", "port-forward, in"].includes(name)))
      expect((await way.move(place.node, "spdy")).came).toMatchObject(whole);
  }

  /** What two make of it, and what it costs the daemon once. */
  const more = 2;
  async function nothingIsLeft(): Promise<void> {
    await until("descriptors are closed", () => {
      const now = place.descriptors();
      return now.daemon <= before.daemon + more && now.shim <= before.shim + more;
    });
    expect(place.memory() - memory).toBeLessThan(96);
  }

  beforeAll(async () => {
    place = await StreamsPlace.start(bytes);
    const stdin = { stdin: true };
    await place.node.run("servers", `${servers.map((each) => `${each} &`).join(" ")} wait`);
    ids.cat = await place.node.run("cat", "exec cat", stdin);
    ids.zero = await place.node.run("zero", "read go; exec cat /dev/./zero", stdin);
    ids.sleep = await place.node.run("sleep", "exec sleep 40000", stdin);
    await othersGoOn();
  });
  afterAll(() => place?.[Symbol.asyncDispose]());
  beforeEach(() => {
    before = place.descriptors();
    memory = place.memory();
  });

  test("attached ones that read nothing hold up their process, not memory or others", async () => {
    const deaf = async (): Promise<StreamClient> => {
      const attached = await place.attach(ids.zero);
      attached.client.link.pause();
      return attached;
    };
    const clients = await Promise.all(Array.from({ length: 16 }, deaf));
    await clients[0]?.stream("stdin").write("go\n");
    await until("it writes", () => place.running("cat", "/dev/./zero").length === 1);
    await othersGoOn();
    expect(place.memory() - memory).toBeLessThan(96);
    for (const { client } of clients) client.close();
    // It wasn't let go for them, and goes on for others.
    const next = await place.attach(ids.zero);
    await until("bytes come", () => next.stream("stdout").received >= MiB);
    next.client.close();
    await nothingIsLeft();
  });

  test("ones of a port that read nothing hold up its server, not memory or others", async () => {
    const clients: StreamClient[] = [];
    // One after the other: the servers have no queue, and who finds none comes again a second later.
    while (clients.length < 16) {
      const forwarded = await place.forward(ports.zero);
      forwarded.client.link.pause();
      clients.push(forwarded);
      await until("its server writes", () => place.running("cat", "/dev/zero").length === clients.length);
    }
    await othersGoOn();
    expect(place.memory() - memory).toBeLessThan(96);
    for (const { client } of clients) client.close();
    await until("servers end", () => place.running("cat", "/dev/zero").length === 0);
    await nothingIsLeft();
  });

  test.each([
    ["attached", "stdin", () => place.attach(ids.sleep)],
    ["of a port", "data", () => place.forward(ports.sleep)],
  ] as const)("one %s that sends what nobody reads is held back", async (_, type, connect) => {
    const { client, stream } = await connect();
    let sent = 0;
    const piece = Buffer.alloc(64 * 1024, "x");
    const most = 256 * MiB;
    const sending = (async () => {
      for (; sent < most; sent += piece.length) await stream(type).write(piece);
    })();
    sending.catch(() => {});
    await until("it sends", () => sent >= MiB);
    await othersGoOn();
    expect(sent).toBeLessThan(most);
    expect(place.memory() - memory).toBeLessThan(64);
    client.close();
    await nothingIsLeft();
  });

  test.each([
    ["attached", "stdin", "stdout", () => place.attach(ids.cat)],
    ["of a port", "data", "data", () => place.forward(ports.echo)],
  ] as const)("nothing is left of 40 clients %s that vanish", async (_, input, output, connect) => {
    const vanish = async (index: number): Promise<void> => {
      const { client, stream } = await connect();
      if (index % 2 === 0) {
        const word = `client ${index}\n`;
        await stream(input).write(word);
        await stream(output).until(word);
        // In good order, but for what SPDY says at an end.
        client.link.close();
      } else {
        client.link.pause();
        await stream(input).write(Buffer.alloc(4096, "\n"));
        client.close();
      }
    };
    for (let index = 0; index < 40; index++) await vanish(index);
    await until("servers end", () => place.running("cat").length === 1);
    await othersGoOn();
    await nothingIsLeft();
  });

  test("ones that vanish without a word will be found out", async () => {
    const clients = [
      await place.exec("exec cat"),
      await place.attach(ids.cat),
      await place.forward(ports.echo),
    ] as const;
    const port = Number(new URL(await place.node.execUrl("true")).port);
    const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    // The daemon's connections with clients, and in how many hundredths of a second it asks whether they are there; proc_net_tcp of the kernel.
    const asks = (): number[] =>
      contentOf(`/proc/${place.daemon.server.pid}/net/tcp`)
        .split("\n")
        .flatMap((line) => {
          const [, own, , state, , timer = ""] = line.trim().split(/\s+/);
          const isOurs = own === local && state === "01" && timer.startsWith("02:");
          return isOurs ? [Number.parseInt(timer.slice(3), 16)] : [];
        });
    await until("all are asked", () => asks().filter((when) => when <= 1500).length >= clients.length);
    for (const { client } of clients) client.close();
    await until("the command ends", () => place.running("cat").length === 1);
    await nothingIsLeft();
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "a daemon that ends by %s ends streams, and the next one what is left of them",
    async (signal) => {
      const { daemon } = place;
      const clients = await Promise.all([
        place.exec("exec cat"),
        place.exec("exec sleep 50000"),
        place.attach(ids.cat),
        place.forward(ports.echo),
      ]);
      await until("all run", () => place.running("cat").length === 3 && place.running("sleep", "50000").length === 1);
      await Promise.all([daemon.stop(signal), ...clients.map(({ client }) => client.closed.promise)]);
      await daemon.boot();
      // One has no input any more, the other needs none.
      await until("the one command ends", () => place.running("cat").length === 1);
      expect(place.running("sleep", "50000").length).toBe(1);
      await othersGoOn();
      await place.node.endCommands();
      const fifos = (): string[] =>
        readdirSync(daemon.state, { recursive: true, encoding: "utf8" }).filter((path) =>
          /^io\.containerd\.grpc\.v1\.cri\/containers\/.*\/io\/./.test(path),
        );
      await until("FIFOs are removed", () => fifos().length === 0);
      const { shim } = before;
      await until("descriptors are closed", () => place.descriptors().shim <= shim + more);
      const { client, stream } = await place.attach(ids.cat);
      await stream("stdin").write("again\n");
      await stream("stdout").until("again");
      client.close();
    },
  );
});
