import { afterAll, beforeAll, describe, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import type { ImageServiceDefinition, RuntimeServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import type { ServiceClient } from "@hull/api/rpc";
import type { Client } from "@hull/client/client";
import type { Side } from "../support/compare.ts";
import { CriDaemon, type NewContainer, noPods, type PodConfig, writePodImages } from "../support/cri.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type CallOptions, type Server, ServicePair } from "../support/services.ts";

setDefaultTimeout(60_000);

/** A daemon with the ids of what a test made there, by the test's names for it: answers have to be the same but for ids. */
export class CriServer implements Server {
  readonly daemon: CriDaemon;
  readonly side: Side;
  readonly #ids = new Map<string, string>();
  readonly #configs = new Map<string, PodConfig>();

  constructor(daemon: CriDaemon) {
    this.daemon = daemon;
    const { name, folder, address } = daemon;
    this.side = {
      ...{ name, folder, address, namespace: "k8s.io", pid: daemon.server.pid },
      named: (text) => this.#named(text),
      ctr: (args) => daemon.ctr(...args),
    };
  }

  get client(): Client {
    return this.daemon.client;
  }
  get runtime(): ServiceClient<typeof RuntimeServiceDefinition> {
    return this.daemon.runtime;
  }
  get images(): ServiceClient<typeof ImageServiceDefinition> {
    return this.daemon.images;
  }

  /** The id of what the test calls `name`. @throws Error if there is none, because making it failed */
  readonly id = (name: string): string => {
    const id = this.#ids.get(name);
    if (id === undefined) throw new Error(`there is no "${name}" on ${this.daemon.name}`);
    return id;
  };

  /** Runs a pod that is called `name`. */
  async runPod(name: string, config: PodConfig = {}, runtimeHandler = ""): Promise<{ podSandboxId: string }> {
    const whole = this.daemon.podConfig(name, config);
    const answer = await this.runtime.runPodSandbox({ config: whole, runtimeHandler });
    this.#ids.set(name, answer.podSandboxId);
    this.#configs.set(name, whole);
    return answer;
  }

  /** Makes a container in a pod; it is called by the name in its configuration. */
  async create(pod: string, config: NewContainer): Promise<{ containerId: string }> {
    const sandboxConfig = this.#configs.get(pod);
    const answer = await this.runtime.createContainer({ podSandboxId: this.id(pod), config, sandboxConfig });
    this.#ids.set(config.metadata?.name ?? "", answer.containerId);
    return answer;
  }

  start(name: string): Promise<unknown> {
    return this.runtime.startContainer({ containerId: this.id(name) });
  }

  /** Waits until a container has ended. @throws Error after 20 s */
  async ended(name: string): Promise<void> {
    for (let tries = 0; tries < 3000; tries++) {
      const { status } = await this.runtime.containerStatus({ containerId: this.id(name) });
      if (status !== undefined && status.state >= 2) return;
      await Bun.sleep(20);
    }
    throw new Error(`"${name}" goes on`);
  }

  /** A path below the daemon's folder. */
  readonly folder = (path: string): string => join(this.daemon.folder, path);

  /** Waits until the log of a container has a text. @throws Error after 20 s */
  async logged(pod: string, name: string, text: string): Promise<void> {
    const file = this.folder(`logs/${pod}/${name}.log`);
    for (let tries = 0; tries < 3000; tries++) {
      if (existsSync(file) && readFileSync(file, "utf8").includes(text)) return;
      await Bun.sleep(20);
    }
    throw new Error(`"${text}" isn't in the log of "${name}"`);
  }

  /** The log of a container, whose end it waits for: stream, tag and text of each line. */
  async log(pod: string, name: string): Promise<string[]> {
    await this.ended(name);
    const lines = readFileSync(this.folder(`logs/${pod}/${name}.log`), "utf8")
      .trimEnd()
      .split("\n");
    return lines.map((line) => {
      const [time = "", ...rest] = line.split(" ");
      // Go writes nanoseconds without the noughts at their end.
      return [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(time) ? "TIME" : time, ...rest].join(
        " ",
      );
    });
  }

  /** Addresses that pods have now. */
  addresses(): string[] {
    return readdirSync(join(this.daemon.addresses, "pods")).filter((file) => /^\d/.test(file));
  }

  #named(text: string): string {
    let named = text.replaceAll(this.daemon.cgroup, "/CGROUP");
    for (const [name, id] of this.#ids) named = named.replaceAll(id, `<${name}>`);
    // Those of what failed to be made.
    return named.replace(/(?<!sha256:)\b[0-9a-f]{64}\b/g, "ID");
  }
}

/** Calls to both CRIs. */
export class CriPair {
  readonly folder: Scratch;
  readonly servers: readonly [CriServer, CriServer];
  readonly older: boolean;
  readonly #pair: ServicePair<CriServer>;

  constructor(folder: Scratch, servers: readonly [CriServer, CriServer], older: boolean) {
    this.folder = folder;
    this.servers = servers;
    this.older = older;
    this.#pair = new ServicePair(folder, servers, older);
  }

  /** Makes a call of each, first of containerd, whose outcomes have to be the same. Gives hull's. */
  readonly same = (
    what: string,
    call: (server: CriServer) => Promise<unknown> | AsyncIterable<unknown>,
    options: CallOptions = {},
  ): Promise<unknown> => this.#pair.same(what, (_client, server) => call(server), options);

  /** Does the same on both without comparing. */
  readonly each = (work: (server: CriServer) => Promise<unknown>): Promise<void> =>
    this.#pair.each((_client, server) => work(server));

  verify(): void {
    this.#pair.verify();
  }
}

/** A suite of calls to both CRIs, each test of which fails at its end for all that differed; pods are removed after each. */
export function comparedCri(
  name: string,
  body: (test: (title: string, run: (pair: CriPair) => Promise<void>) => void) => void,
): void {
  describe.skipIf(noPods !== undefined)(noPods === undefined ? name : `${name} (skipped: ${noPods})`, () => {
    const stack = new AsyncDisposableStack();
    let pair: CriPair | undefined;
    beforeAll(async () => {
      const folder = stack.use(scratch());
      const archive = folder.join("images.tar");
      writePodImages(archive);
      const start = async (which: CriDaemon["name"], at: string): Promise<CriServer> =>
        new CriServer(stack.use(await CriDaemon.start(which, folder.join(at), archive)));
      const servers = [await start("containerd", "c"), await start("hull", "h")] as const;
      const { version } = await servers[0].client.service(VersionDefinition).version({});
      pair = new CriPair(folder, servers, /^v?1\./.test(version));
    });
    afterAll(() => stack.disposeAsync());
    body((title, run) =>
      test(title, async () => {
        if (pair === undefined) throw new Error("the daemons are not started");
        try {
          await run(pair);
          pair.verify();
        } finally {
          await pair.each(({ daemon }) => daemon.removePods());
        }
      }),
    );
  });
}
