import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Profile } from "@hull/api/gen/perftools/profiles/profile";
import { createLogger } from "../log.ts";
import { self } from "../server/test-server.ts";
import { toPprof } from "./cpu.ts";
import { startDebug } from "./index.ts";

/** The debug socket of a test, asked by path. */
async function open() {
  const stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "hull-debug-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const address = join(directory, "debug.sock");
  const log = createLogger({ level: "info", format: "text", write: () => {} });
  const { interceptor } = stack.use(await startDebug({ address, owner: self, log }));
  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://localhost${path}`, { ...init, unix: address });
  return { get, log, address, interceptor, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const read = async (response: Response): Promise<Profile> =>
  Profile.decode(Bun.gunzipSync(await response.arrayBuffer()));

const textOf = ({ stringTable }: Profile, index: bigint | undefined): string => stringTable[Number(index)] ?? "?";

describe("the debug socket", () => {
  test("is for its owner and group alone", async () => {
    await using debug = await open();
    expect(statSync(debug.address).mode & 0o777).toBe(0o660);
  });

  test("gives the heap as a profile: texts, functions and places fit together", async () => {
    await using debug = await open();
    const profile = await read(await debug.get("/debug/pprof/heap"));
    expect(profile.sampleType.map(({ type, unit }) => [textOf(profile, type), textOf(profile, unit)])).toEqual([
      ["inuse_objects", "count"],
      ["inuse_space", "bytes"],
    ]);
    const functions = new Map(profile.function.map(({ id, name }) => [id, textOf(profile, name)]));
    const named = profile.location.map(({ line }) => functions.get(line[0]?.functionId ?? 0n));
    expect(named).toContain("Object");
    expect(profile.sample.every(({ value }) => value.length === 2)).toBe(true);
  });

  test("gives a CPU profile of as long as asked, one at a time", async () => {
    await using debug = await open();
    const asked = [1, 2].map(() => debug.get("/debug/pprof/profile?seconds=1"));
    // Whichever comes second is refused at once.
    expect((await Promise.race(asked)).status).toBe(429);
    const until = performance.now() + 50;
    while (performance.now() < until) Math.sqrt(until);
    const given = (await Promise.all(asked)).filter(({ status }) => status === 200);
    expect(given).toHaveLength(1);
    const profile = await read(given[0] ?? new Response());
    expect(profile.durationNanos).toBe(1_000_000_000n);
    expect(profile.sample.length).toBeGreaterThan(0);
    expect((await debug.get("/debug/pprof/profile?seconds=-1")).status).toBe(400);
  });

  test("what hull can't give is answered 501, with the reason", async () => {
    await using debug = await open();
    for (const name of ["block", "mutex", "trace", "threadcreate", "symbol"]) {
      const response = await debug.get(`/debug/pprof/${name}`);
      expect(response.status).toBe(501);
      expect(await response.text()).toStartWith(`hull has no profile "${name}": `);
    }
    expect((await debug.get("/debug/pprof/nothing")).status).toBe(404);
    expect((await debug.get("/")).status).toBe(404);
  });

  test("shows the calls that run", async () => {
    await using debug = await open();
    const { promise, resolve } = Promise.withResolvers<void>();
    const method = { name: "Wait", responseStream: false, requestStream: false };
    const handler = debug.interceptor({ service: "a.B", method: method as never }, () => promise);
    const call = handler({}, { metadata: () => "default", signal: AbortSignal.abort() });
    const shown = async (): Promise<string> => (await debug.get("/debug/pprof/goroutine?debug=2")).text();
    expect(await shown()).toMatch(/call 1 \[running, .* s\]: namespace "default"\na\.B\/Wait\n/);
    const profile = await read(await debug.get("/debug/pprof/goroutine"));
    expect(profile.stringTable).toContain("a.B/Wait");
    resolve();
    await call;
    expect(await shown()).toContain("running: 0");
  });

  test("changes the level of the log", async () => {
    await using debug = await open();
    expect(await (await debug.get("/debug/level")).text()).toBe("info\n");
    expect((await debug.get("/debug/level", { method: "PUT", body: "debug" })).status).toBe(200);
    expect(debug.log.level).toBe("debug");
    expect((await debug.get("/debug/level", { method: "PUT", body: "loud" })).status).toBe(400);
    expect(debug.log.level).toBe("debug");
  });

  test("tells memory and command line as Go's expvar does", async () => {
    await using debug = await open();
    const vars = await (await debug.get("/debug/vars")).json();
    expect(vars).toMatchObject({ cmdline: process.argv });
    expect((await debug.get("/debug/pprof/cmdline")).status).toBe(200);
    expect(await (await debug.get("/debug/pprof/")).text()).toContain("/debug/pprof/heap");
  });

  test("a stack reads from the innermost place, without the root", async () => {
    const frame = (functionName: string, lineNumber: number) => ({
      functionName,
      scriptId: "1",
      url: "a.ts",
      lineNumber,
      columnNumber: 0,
    });
    const bytes = toPprof(
      {
        nodes: [
          { id: 1, callFrame: frame("(root)", -1), children: [2] },
          { id: 2, callFrame: frame("outer", 1), children: [3] },
          { id: 3, callFrame: frame("inner", 9) },
        ],
        startTime: 0,
        endTime: 4000,
        samples: [3, 3, 2],
        timeDeltas: [100, 1000, 2000],
      },
      4,
    );
    const profile = Profile.decode(Bun.gunzipSync(bytes));
    const names = new Map(
      profile.location.map(({ id, line }) => {
        const found = profile.function.find((one) => one.id === line[0]?.functionId);
        return [id, `${textOf(profile, found?.name)}:${line[0]?.line}`];
      }),
    );
    expect(profile.sample.map(({ locationId, value }) => [locationId.map((id) => names.get(id)), value])).toEqual([
      [
        ["inner:10", "outer:2"],
        [2n, 2_000_000n],
      ],
      [["outer:2"], [1n, 2_000_000n]],
    ]);
  });
});
