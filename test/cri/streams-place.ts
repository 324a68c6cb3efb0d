/** A daemon with a pod for streams, and what is to be seen of its processes. */
import { mkdirSync, readdirSync } from "node:fs";
import { connect as connectLink } from "@hull/link/bun";
import { mount } from "@hull/sys/mount";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { startConnection } from "@hull/sys/tcp";
import { ready } from "@hull/sys/watch";
import { type ClientStream, type Dial, SpdyClient } from "../../packages/cri/src/streaming/testing.ts";
import { CriDaemon, writePodImages } from "../support/cri.ts";
import { StreamingNode } from "../support/mover/ways.ts";
import { contentOf, ownProcessesOf, processesOf } from "../support/processes.ts";
import { scratch } from "../support/scratch.ts";

/** A client with its streams by their types. */
export interface StreamClient {
  readonly client: SpdyClient;
  /** @throws Error if there is none of that type */
  stream(type: string): ClientStream;
}

/** Waits until something holds. @throws Error after 20 s */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries === 1000) throw new Error(`never came about: ${what}`);
    await Bun.sleep(20);
  }
}

export class StreamsPlace implements AsyncDisposable {
  readonly daemon: CriDaemon;
  readonly node: StreamingNode;
  readonly #undo: AsyncDisposableStack;

  private constructor(daemon: CriDaemon, node: StreamingNode, undo: AsyncDisposableStack) {
    this.daemon = daemon;
    this.node = node;
    this.#undo = undo;
  }

  /** @param bytes of the pattern that ways move */
  static async start(bytes: number): Promise<StreamsPlace> {
    await using undo = new AsyncDisposableStack();
    const folder = undo.use(scratch());
    const data = folder.join("pattern");
    mkdirSync(data);
    mount({ type: "tmpfs", source: "tmpfs", target: data });
    const archive = folder.join("images.tar");
    writePodImages(archive);
    const daemon = undo.use(await CriDaemon.start("hull", folder.join("h"), archive));
    undo.defer(() => daemon.removePods());
    const node = await StreamingNode.start(daemon, { bytes, data });
    return new StreamsPlace(daemon, node, undo.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.disposeAsync();
  }

  readonly dial: Dial = async ({ port }) => {
    const fd = inNetworkNamespace(`/proc/${this.daemon.machine.pid}/ns/net`, () => startConnection("4", Number(port)));
    await ready(fd, "write");
    return await connectLink({ fd });
  };

  /** A client of a command in the pod, with input and output. */
  async exec(script: string): Promise<StreamClient> {
    return await this.#command(await this.node.execUrl(script));
  }

  /** A client of a container's first process. */
  async attach(containerId: string): Promise<StreamClient> {
    const { url } = await this.daemon.runtime.attach({ containerId, stdin: true, stdout: true });
    return await this.#command(url);
  }

  async #command(url: string): Promise<StreamClient> {
    const client = await SpdyClient.connect(url, ["v4.channel.k8s.io"], this.dial);
    return await this.#withStreams(client, ["error", "stdin", "stdout"]);
  }

  /** A client of a port of the pod. */
  async forward(port: number): Promise<StreamClient> {
    const [pod] = (await this.daemon.runtime.listPodSandbox({})).items;
    const { url } = await this.daemon.runtime.portForward({ podSandboxId: pod?.id, port: [port] });
    const client = await SpdyClient.connect(url, ["portforward.k8s.io"], this.dial);
    return await this.#withStreams(client, ["error", "data"], { port: String(port), requestid: "0" });
  }

  async #withStreams(client: SpdyClient, types: readonly string[], headers = {}): Promise<StreamClient> {
    const open = async (streamtype: string) => [streamtype, await client.open({ streamtype, ...headers })] as const;
    const streams = new Map(await Promise.all(types.map(open)));
    const stream = (type: string): ClientStream => {
      const found = streams.get(type);
      if (found === undefined) throw new Error(`the client has no stream of the type "${type}"`);
      return found;
    };
    return { client, stream };
  }

  /** Processes on the node that were started by just these words. */
  running(...words: string[]): number[] {
    const line = words.map((word) => `${word}\0`).join("");
    return processesOf(this.daemon).filter((pid) => contentOf(`/proc/${pid}/cmdline`) === line);
  }

  get #shims(): number[] {
    return ownProcessesOf(this.daemon).filter((pid) => pid !== this.daemon.server.pid);
  }

  /** How many descriptors the daemon and the shim of the pod have open. */
  descriptors(): { daemon: number; shim: number } {
    const count = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
    // Another one may wait for its pod, and has fewer.
    return { daemon: count(this.daemon.server.pid), shim: Math.max(...this.#shims.map(count)) };
  }

  /** MiB that the daemon and its shims hold. */
  memory(): number {
    return ownProcessesOf(this.daemon).reduce((sum, pid) => {
      const [, kib = "0"] = /^VmRSS:\s+(\d+) kB/m.exec(contentOf(`/proc/${pid}/status`)) ?? [];
      return sum + Number(kib) / 1024;
    }, 0);
  }
}
