/** Ways of moving the pattern through exec, attach and port-forward of a daemon's pod. */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { ContainerState, NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import { type CriDaemon, type NewContainer, scriptContainer } from "../cri.ts";
import { ownProcessesOf, ticksOf } from "../processes.ts";
import { blockSize, type ClientOptions, type Moved, type ServerOptions, startMover, writePattern } from "./index.ts";

type Protocol = ClientOptions["protocol"];

export interface StreamingOptions {
  /** Each way. */
  readonly bytes: number;
  /** A directory in memory. */
  readonly data: string;
}

/** What came at the far end. */
export type Came = Pick<Moved, "bytes" | "checksum">;

/** One way. */
export interface Way {
  readonly name: string;
  move(node: StreamingNode, protocol: Protocol): Promise<{ ms: number; came: Came }>;
}

/** Where the pattern is read from and written to by commands, inside and outside. */
const inside = "/pattern";
const [sourceName, copyName] = ["source", "copy"];
const port = 7070;
const linux = { securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER } } };

/** With an output that stays open: containerd takes no more input when that has ended. */
const take = `cat >${inside}/${copyName}; true`;

/** A pod with a container for commands, and the means to move the pattern in and out. */
export class StreamingNode {
  readonly daemon: CriDaemon;
  readonly bytes: number;
  readonly #data: string;
  readonly #pod: string;
  readonly #container: string;

  private constructor(daemon: CriDaemon, { bytes, data }: StreamingOptions, pod: string, container: string) {
    this.daemon = daemon;
    this.bytes = bytes;
    this.#data = data;
    this.#pod = pod;
    this.#container = container;
  }

  /** Makes the pod, and the pattern in the directory. */
  static async start(daemon: CriDaemon, options: StreamingOptions): Promise<StreamingNode> {
    mkdirSync(options.data, { recursive: true });
    writePattern(join(options.data, sourceName), options.bytes);
    const config = daemon.podConfig("streams", { linux });
    const { podSandboxId } = await daemon.runtime.runPodSandbox({ config });
    const node = new StreamingNode(daemon, options, podSandboxId, "");
    const containerId = await node.run("idle", "exec sleep 1000000");
    return new StreamingNode(daemon, options, podSandboxId, containerId);
  }

  /** Starts a container that sees the pattern. */
  async run(name: string, script: string, more: NewContainer = {}): Promise<string> {
    const { runtime } = this.daemon;
    const mounts = [{ hostPath: this.#data, containerPath: inside }];
    const config = scriptContainer(name, script, { mounts, logPath: "", ...more });
    const sandboxConfig = this.daemon.podConfig("streams", { linux });
    const { containerId } = await runtime.createContainer({ podSandboxId: this.#pod, config, sandboxConfig });
    await runtime.startContainer({ containerId });
    return containerId;
  }

  /** Gives the bytes that a command copied. */
  copied(): Came {
    const bytes = readFileSync(join(this.#data, copyName));
    return { bytes: bytes.length, checksum: crc32(bytes) };
  }

  /** Runs a command in the pod. */
  async exec(script: string, streams: { stdin: boolean; stdout: boolean }, protocol: Protocol): Promise<Moved> {
    const cmd = ["sh", "-c", script];
    const { url } = await this.daemon.runtime.exec({ containerId: this.#container, cmd, ...streams });
    return await this.#client({ url, kind: "command", protocol, ...streams, send: streams.stdin ? this.bytes : 0 });
  }

  /** Where a command can be run, with input and output. */
  async execUrl(script: string): Promise<string> {
    const cmd = ["sh", "-c", script];
    const streams = { stdin: true, stdout: true };
    return (await this.daemon.runtime.exec({ containerId: this.#container, cmd, ...streams })).url;
  }

  /** Kills whatever runs in the container for commands but its first process. */
  async endCommands(): Promise<void> {
    await this.daemon.runtime.execSync({ containerId: this.#container, cmd: ["sh", "-c", "kill -9 -1"], timeout: 10n });
  }

  /** Attaches to a container of its own, which is removed then. */
  async attach(
    script: string,
    streams: { stdin: boolean; stdout: boolean },
    { protocol, send, log = "" }: { protocol: Protocol; send: number; log?: string },
  ): Promise<Moved> {
    const { runtime } = this.daemon;
    const containerId = await this.run("attached", script, { stdin: true, stdinOnce: true, logPath: log });
    const { url } = await runtime.attach({ containerId, ...streams });
    const moved = await this.#client({ url, kind: "command", protocol, ...streams, send });
    // It ends by itself: what it still does for that is waited for.
    await runtime.stopContainer({ containerId, timeout: 10n });
    await this.#exited(containerId);
    await runtime.removeContainer({ containerId });
    return moved;
  }

  /** The real one answers that a container has been stopped before it knows of its end itself, and then doesn't remove it. */
  async #exited(containerId: string): Promise<void> {
    for (const end = performance.now() + 10_000; performance.now() < end; await Bun.sleep(10)) {
      const { status } = await this.daemon.runtime.containerStatus({ containerId });
      if (status?.state === ContainerState.CONTAINER_EXITED) return;
    }
    throw new Error(`container "${containerId}" was stopped, and runs`);
  }

  /** Moves bytes to or from a server in the pod. @returns what the client took, and the server */
  async forward(
    work: ServerOptions["work"],
    { protocol, send, bytes }: { protocol: Protocol; send: number; bytes: number },
  ): Promise<{ client: Moved; server: Moved }> {
    const { runtime, machine } = this.daemon;
    const { info } = await runtime.containerStatus({ containerId: this.#container, verbose: true });
    const { pid } = JSON.parse(info.info ?? "{}") as { pid?: number };
    const enter = [...machine.enter, "nsenter", "--target", String(pid), "--net"];
    await using server = startMover(enter, { role: "server", port, work, bytes });
    await server.listening;
    const { url } = await runtime.portForward({ podSandboxId: this.#pod, port: [port] });
    const client = await this.#client({ url, kind: "forward", port, protocol, send });
    return { client, server: await server.moved };
  }

  async #client(options: Omit<ClientOptions, "role">): Promise<Moved> {
    await using client = startMover(this.daemon.machine.enter, { role: "client", ...options });
    return await client.moved;
  }

  /** Milliseconds of processor that the daemon and its shims have taken. */
  processor(): number {
    return ownProcessesOf(this.daemon).reduce((sum, pid) => sum + ticksOf(pid, { children: false }), 0);
  }
}

export const ways: readonly Way[] = [
  {
    name: "exec, in",
    move: async (node, protocol) => {
      const { ms } = await node.exec(take, { stdin: true, stdout: true }, protocol);
      return { ms, came: node.copied() };
    },
  },
  {
    name: "exec, out",
    move: async (node, protocol) => {
      const moved = await node.exec(`cat ${inside}/${sourceName}`, { stdin: false, stdout: true }, protocol);
      return { ms: moved.ms, came: moved };
    },
  },
  {
    name: "exec, in and out",
    move: async (node, protocol) => {
      const moved = await node.exec("cat", { stdin: true, stdout: true }, protocol);
      return { ms: moved.ms, came: moved };
    },
  },
  {
    name: "attach, in",
    move: async (node, protocol) => {
      const streams = { stdin: true, stdout: false };
      const { ms } = await node.attach(take, streams, { protocol, send: node.bytes });
      return { ms, came: node.copied() };
    },
  },
  ...["", "attached.log"].map(
    (log): Way => ({
      name: log === "" ? "attach, out" : "attach, out, and into the log",
      move: async (node, protocol) => {
        const script = `head -c ${blockSize} >/dev/null; cat ${inside}/${sourceName}`;
        const streams = { stdin: true, stdout: true };
        const moved = await node.attach(script, streams, { protocol, send: blockSize, log });
        return { ms: moved.ms, came: moved };
      },
    }),
  ),
  {
    name: "port-forward, in",
    move: async (node, protocol) => {
      const { client, server } = await node.forward("sink", { protocol, send: node.bytes, bytes: 0 });
      return { ms: client.ms, came: server };
    },
  },
  {
    name: "port-forward, out",
    move: async (node, protocol) => {
      const { client } = await node.forward("source", { protocol, send: 0, bytes: node.bytes });
      return { ms: client.ms, came: client };
    },
  },
  {
    name: "port-forward, in and out",
    move: async (node, protocol) => {
      const { client } = await node.forward("echo", { protocol, send: node.bytes, bytes: 0 });
      return { ms: client.ms, came: client };
    },
  },
];
