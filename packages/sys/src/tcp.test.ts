import { test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LinkListener } from "@hull/link";
import { connect, listen } from "@hull/link/bun";
import { createNetworkNamespace, inNetworkNamespace, unpinNamespace } from "./namespace.ts";
import { keepAlive, startConnection } from "./tcp.ts";
import { ready } from "./watch.ts";

const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)(
  "a peer that is gone without a word is found out (needs root)",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "hull-tcp-"));
    const namespace = join(folder, "net");
    createNetworkNamespace(namespace);
    const loopback = (state: string) =>
      Bun.spawnSync(["nsenter", `--net=${namespace}`, "ip", "link", "set", "lo", state]);
    try {
      loopback("up");
      const gone = Promise.withResolvers<void>();
      let listening: Promise<LinkListener> | undefined;
      inNetworkNamespace(namespace, () => {
        listening = listen({ host: "127.0.0.1", port: 0 }, (link, { fd }) => {
          keepAlive(fd, { idle: 1, interval: 1, count: 2 });
          link.start({ data() {}, closed: () => gone.resolve() });
        });
      });
      const listener = await listening;
      if (listener === undefined) throw new Error("nobody listens");
      const fd = inNetworkNamespace(namespace, () => startConnection("4", listener.port));
      await ready(fd, "write");
      const client = await connect({ fd });
      client.start({ data() {}, closed() {} });
      loopback("down");
      await gone.promise;
      client.destroy();
      listener.stop();
    } finally {
      unpinNamespace(namespace);
      rmSync(folder, { recursive: true });
    }
  },
  120_000,
);
