import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notFound } from "@hull/errors";
import { createNetworkNamespace, unpinNamespace } from "@hull/sys/namespace";
import { SmallFiles } from "@hull/sys/small-file";
import fc from "fast-check";
import { interfacesOf, mainOf, parseInterfaces } from "./interfaces.ts";
import { Layers } from "./layers.ts";
import { Rates } from "./rates.ts";
import { numberOf, pressureIn } from "./usage.ts";

const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n;
const isRoot = process.getuid?.() === 0;

describe("a rate", () => {
  const rates = () => new Rates({ period: seconds(1), retention: seconds(120) });

  test("is that of the time between two looks", () => {
    const each = rates();
    expect(each.take("a", seconds(1000), seconds(10), 0n)).toBeUndefined();
    expect(each.take("a", seconds(1010), seconds(15), 0n)).toBe(500_000_000n);
    expect(each.take("b", seconds(1010), seconds(15), 0n)).toBeUndefined();
  });

  test("is that of the time since the start at first, if that isn't long ago", () => {
    expect(rates().take("a", seconds(1010), seconds(5), seconds(1000))).toBe(500_000_000n);
    expect(rates().take("a", seconds(1121), seconds(5), seconds(1000))).toBeUndefined();
    const each = rates();
    expect(each.take("a", seconds(1000) + 1n, seconds(1), seconds(1000))).toBeUndefined();
    expect(each.take("a", seconds(1001) + 1n, seconds(2), seconds(1000))).toBe(seconds(1));
  });

  test("stays for those who ask again too soon, and goes when the last look is old", () => {
    const each = rates();
    each.take("a", seconds(1000), 0n, 0n);
    each.take("a", seconds(1010), seconds(5), 0n);
    expect(each.take("a", seconds(1010) + 400_000_000n, seconds(5), 0n)).toBe(500_000_000n);
    expect(each.take("a", seconds(1011), seconds(6), 0n)).toBe(seconds(1));
    expect(each.take("a", seconds(1132), seconds(6), 0n)).toBeUndefined();
  });

  test("begins anew when the count goes back", () => {
    const each = rates();
    each.take("a", seconds(1000), seconds(10), 0n);
    expect(each.take("a", seconds(1010), seconds(5), seconds(1005))).toBe(seconds(1));
  });

  test("is forgotten with what it was of", () => {
    const each = rates();
    each.take("a", seconds(1000), 0n, 0n);
    each.take("b", seconds(1000), 0n, 0n);
    each.keep(new Set(["b"]));
    expect(each.size).toBe(1);
  });
});

describe("layers", () => {
  test("are looked at when asked for, one at a time, and not again for a while", async () => {
    const looked: string[] = [];
    let atOnce = 0;
    const look = async (id: string) => {
      expect(++atOnce).toBe(1);
      await Promise.resolve();
      looked.push(id);
      atOnce--;
      return { bytes: 7n, inodes: 1n };
    };
    const layers = new Layers({ look, period: 60_000, now: () => 5n, onError: () => {} });
    expect(layers.of("a").at).toBe(0n);
    await Promise.all([layers.ask(["a", "b"], 1000), layers.ask(["b", "c"], 1000)]);
    await layers.ask(["a", "b", "c"], 1000);
    expect(looked).toEqual(["a", "b", "c"]);
    expect(layers.of("c")).toEqual({ at: 5n, bytes: 7n, inodes: 1n });
    layers.forget("c");
    expect(layers.of("c").at).toBe(0n);
    expect(layers.size).toBe(2);
  });

  test("that take long are not waited for", async () => {
    const gate = Promise.withResolvers<{ bytes: bigint; inodes: bigint }>();
    const layers = new Layers({ look: () => gate.promise, period: 0, now: () => 5n, onError: () => {} });
    await layers.ask(["a"], 1);
    expect(layers.of("a").at).toBe(0n);
    gate.resolve({ bytes: 1n, inodes: 1n });
    await layers.ask(["a"], 1000);
    expect(layers.of("a").at).toBe(5n);
  });

  test("that can't be looked at are told of, unless they are gone", async () => {
    const errors: string[] = [];
    const look = async (id: string) => {
      throw id === "gone" ? notFound("gone") : new Error("broken");
    };
    const onError = (error: Error, id: string) => void errors.push(`${id}: ${error.message}`);
    const layers = new Layers({ look, period: 60_000, now: () => 5n, onError });
    await layers.ask(["gone", "bad"], 1000);
    expect(errors).toEqual(["bad: broken"]);
    expect(layers.size).toBe(1);
  });
});

describe("texts of the kernel", () => {
  test("a number is found by its whole name", () => {
    const text = "total_x 1\nxx 2\nx 3\nx_y 4\n";
    expect(numberOf(text, "x")).toBe(3n);
    expect(numberOf(text, "x_y")).toBe(4n);
    expect(numberOf(text, "y")).toBeUndefined();
    expect(numberOf("a 18446744073709551615", "a")).toBe(2n ** 64n - 1n);
    expect(numberOf("a b", "a")).toBeUndefined();
  });

  test("every name of a flat keyed file is found", () => {
    const name = fc.stringMatching(/^[a-z_]{1,8}$/);
    fc.assert(
      fc.property(fc.dictionary(name, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minKeys: 1 }), (table) => {
        const text = Object.entries(table)
          .map(([key, value]) => `${key} ${value}\n`)
          .join("");
        for (const [key, value] of Object.entries(table)) expect(numberOf(text, key)).toBe(value);
      }),
    );
  });

  test("pressure", () => {
    const some = "some avg10=1.50 avg60=0.25 avg300=0.00 total=7\n";
    const line = { avg10: 1.5, avg60: 0.25, avg300: 0, totalNs: 7000n };
    expect(pressureIn(some)).toEqual({ some: line, full: undefined });
    expect(pressureIn(some + some.replace("some", "full"))).toEqual({ some: line, full: line });
    expect(pressureIn("")).toBeUndefined();
    expect(pressureIn(undefined)).toBeUndefined();
  });

  test("interfaces", () => {
    const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
 net1: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0
  eth0:18446744073709551615 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0
`;
    const interfaces = parseInterfaces(text);
    const sent = { bytes: 5n, packets: 6n, errors: 7n, dropped: 8n };
    expect(interfaces).toEqual([
      { name: "net1", received: { bytes: 1n, packets: 2n, errors: 3n, dropped: 4n }, sent },
      { name: "eth0", received: { bytes: 2n ** 64n - 1n, packets: 2n, errors: 3n, dropped: 4n }, sent },
    ]);
    expect(mainOf(interfaces)?.name).toBe("eth0");
    expect(mainOf(interfaces.slice(0, 1))?.name).toBe("net1");
    expect(mainOf([])).toBeUndefined();
    fc.assert(fc.property(fc.string(), (any) => void parseInterfaces(any)));
  });

  test.skipIf(!isRoot)("interfaces of a network namespace (needs root: makes one)", () => {
    const directory = mkdtempSync(join(tmpdir(), "hull-stats-"));
    const path = join(directory, "net");
    try {
      createNetworkNamespace(path);
      // A kernel may put tunnels into each (net.core.fb_tunnels_only_for_init_net).
      const names = interfacesOf(new SmallFiles(), path)?.map(({ name }) => name);
      expect(names?.filter((name) => !/tun|tnl|sit|gre|vti/.test(name))).toEqual([]);
      unpinNamespace(path);
      expect(interfacesOf(new SmallFiles(), path)).toBeUndefined();
    } finally {
      unpinNamespace(path);
      rmSync(directory, { recursive: true });
    }
  });
});
