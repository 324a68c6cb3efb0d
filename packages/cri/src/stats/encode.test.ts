import { expect, test } from "bun:test";
import { ListContainerStatsResponse } from "@hull/api/gen/cri/v1/cri";
import { bytesOf } from "@hull/api/steps";
import { encodedStats } from "./encode.ts";
import { FakeGroups } from "./fake-groups.ts";
import { container, pod, statsOver } from "./testing.ts";

test.each([1, 2] as const)(
  "encoded stats say what the messages do, of groups of version %i, again and again",
  async (version) => {
    using fake = new FakeGroups(version);
    const use = {
      cpuNs: 5_000_000_000,
      memory: 1000,
      limit: 5000,
      inactiveFile: 300,
      swap: 10,
      swapLimit: 100,
      tasks: 3,
    };
    fake.write("p/a", use);
    fake.write("p/b", { ...use, memory: 2 ** 40 });
    const all = [container("a", "p"), container("b", "p"), container("ended", "p", { state: "exited" })];
    const { stats } = statsOver([pod("p")], all, fake);
    for (let round = 0; round < 3; round++) {
      const listed = await stats.listContainerStats(undefined);
      const bytes = bytesOf(await encodedStats(listed)) ?? new Uint8Array();
      const ordinary = ListContainerStatsResponse.encode({ stats: listed }).finish();
      expect(ListContainerStatsResponse.decode(bytes)).toEqual(ListContainerStatsResponse.decode(ordinary));
      expect(bytes.length).toBe(ordinary.length);
    }
    expect(bytesOf(await encodedStats([]))).toEqual(new Uint8Array());
  },
);

test("stats without attributes, layer or file system are encoded, too", async () => {
  const none = { attributes: undefined, cpu: undefined, memory: undefined, swap: undefined, io: undefined };
  const layer = { timestamp: 1n, fsId: undefined, usedBytes: { value: 2n }, inodesUsed: undefined };
  const stats = [
    { ...none, writableLayer: undefined },
    { ...none, writableLayer: layer },
  ];
  const bytes = bytesOf(await encodedStats(stats)) ?? new Uint8Array();
  expect(ListContainerStatsResponse.decode(bytes)).toEqual({ stats });
});
