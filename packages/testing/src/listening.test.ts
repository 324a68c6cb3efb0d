import { expect, test } from "bun:test";
import { createServer } from "node:net";
import fc from "fast-check";
import { hasListener, listens } from "./listening.ts";

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const table = (...sockets: readonly [local: string, state: string][]): string =>
  [
    head,
    ...sockets.map(([local, state], at) => `   ${at}: ${local} 00000000:0000 ${state} 00000000:00000000 00:0`),
  ].join("\n");

test("what listens is told from what is connected, and by its port", () => {
  const text = table(["00000000:0050", "0A"], ["00000000:1538", "01"]);
  expect([80, 5432, 81].map((port) => hasListener(text, port, false))).toEqual([true, false, false]);
});

test("what its own host alone reaches counts where that is asked for", () => {
  for (const address of ["0100007F", "3500007F", `${"0".repeat(24)}01000000`, "0000000000000000FFFF00000100007F"]) {
    const text = table([`${address}:0050`, "0A"]);
    expect([address, hasListener(text, 80, true), hasListener(text, 80, false)]).toEqual([address, true, false]);
  }
  for (const address of ["00000000", "0101010A", "0".repeat(32), "0000000000000000FFFF00000101010A"])
    expect([address, hasListener(table([`${address}:0050`, "0A"]), 80, false)]).toEqual([address, true]);
});

test("no text is more than a table without that port", () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 65_535 }), (text, port) => !hasListener(text, port, true)),
  );
});

test("this process's own server is found", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  expect([await listens(process.pid, port, true), await listens(process.pid, port, false)]).toEqual([true, false]);
  server.close();
});
