/** Much through exec, attach and port-forward: nothing is lost, and clients that are slow or gone cost nobody anything. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { connect as connectLink } from "@hull/link/bun";
import { mount } from "@hull/sys/mount";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { startConnection } from "@hull/sys/tcp";
import { ready } from "@hull/sys/watch";
import { type Dial, SpdyClient } from "../../packages/cri/src/streaming/testing.ts";
import { CriDaemon, noPods, writePodImages } from "../support/cri.ts";
import { patternChecksum } from "../support/mover/index.ts";
import { StreamingNode, ways } from "../support/mover/ways.ts";
import { contentOf, ownProcessesOf, processesOf } from "../support/processes.ts";
import { scratch } from "../support/scratch.ts";

setDefaultTimeout(120_000);

const MiB = 2 ** 20;
const bytes = 32 * MiB;
const whole = { bytes, checksum: patternChecksum(bytes) };
const skipped = noPods === undefined ? "" : ` (skipped: ${noPods})`;

describe.skipIf(noPods !== undefined)(`much through streams${skipped}`, () => {
  const stack = new AsyncDisposableStack();
  let daemon: CriDaemon;
  let node: StreamingNode;
  let dial: Dial;

  beforeAll(async () => {
    const folder = stack.use(scratch());
    const data = folder.join("pattern");
    mkdirSync(data);
    mount({ type: "tmpfs", source: "tmpfs", target: data });
    const archive = folder.join("images.tar");
    writePodImages(archive);
    daemon = stack.use(await CriDaemon.start("hull", folder.join("h"), archive));
    node = await StreamingNode.start(daemon, { bytes, data });
    dial = async ({ port }) => {
      const fd = inNetworkNamespace(`/proc/${daemon.machine.pid}/ns/net`, () => startConnection("4", Number(port)));
      await ready(fd, "write");
      return await connectLink({ fd });
    };
  });
  afterAll(async () => {
    await daemon?.removePods();
    await stack.disposeAsync();
  });

  const cases = ways.flatMap((way) => (["spdy", "websocket"] as const).map((protocol) => ({ ...way, protocol })));
  test.each(cases)("$name, by $protocol", async ({ move, protocol }) => {
    const { came } = await move(node, protocol);
    expect({ bytes: came.bytes, checksum: came.checksum }).toEqual(whole);
  });

  /** A client of a command whose output it doesn't read. */
  async function deaf(script: string): Promise<SpdyClient> {
    const client = await SpdyClient.connect(await node.execUrl(script), ["v4.channel.k8s.io"], dial);
    await Promise.all(["error", "stdin", "stdout"].map((streamtype) => client.open({ streamtype })));
    client.link.pause();
    return client;
  }

  /** Commands that run in the pod's container. */
  const running = (script: string): number[] =>
    processesOf(daemon).filter((pid) => contentOf(`/proc/${pid}/cmdline`).includes(script));

  const descriptors = (): number => readdirSync(`/proc/${daemon.server.pid}/fd`).length;
  const memory = (): number =>
    ownProcessesOf(daemon).reduce((sum, pid) => {
      const [, kib = "0"] = /^VmRSS:\s+(\d+) kB/m.exec(contentOf(`/proc/${pid}/status`)) ?? [];
      return sum + Number(kib) / 1024;
    }, 0);

  async function until(what: string, holds: () => boolean): Promise<void> {
    for (let tries = 0; !holds(); tries++) {
      if (tries === 1000) throw new Error(`never came about: ${what}`);
      await Bun.sleep(20);
    }
  }

  test("clients that don't read hold up their commands, not memory or others", async () => {
    const before = memory();
    const clients = await Promise.all(Array.from({ length: 16 }, () => deaf("yes deaf")));
    await until("commands run", () => running("deaf").length >= clients.length);
    const { came } = (await ways.find(({ name }) => name === "exec, in and out")?.move(node, "spdy")) ?? {};
    expect(came).toMatchObject(whole);
    expect(memory() - before).toBeLessThan(96);
    for (const client of clients) client.close();
    // Their next write fails them, or finds nobody who reads: it is the container's end that ends these.
    await node.endCommands();
    await until("commands end", () => running("deaf").length === 0);
  });

  test("nothing is left of 200 clients that vanish while bytes flow both ways", async () => {
    const vanish = async (): Promise<void> => {
      const client = await deaf("head -c 200000 /dev/zero; cat >/dev/null");
      // What has come and wasn't read makes the end a reset.
      client.close();
    };
    await vanish();
    await until("the first ends", () => running("head -c 200000").length === 0);
    const [filesBefore, before] = [descriptors(), memory()];
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 10 }, vanish));
    await until("commands end", () => running("head -c 200000").length === 0);
    await until("descriptors are closed", () => descriptors() <= filesBefore + 2);
    expect(memory() - before).toBeLessThan(64);
    const { came } = (await ways.find(({ name }) => name === "exec, out")?.move(node, "spdy")) ?? {};
    expect(came).toMatchObject(whole);
  });
});
