import { describe, expect, test } from "bun:test";
import { unavailable } from "@hull/errors";
import { configTable, duration, integer, oneOf, text } from "./config.ts";
import { type AnyPlugin, PluginGraph } from "./graph.ts";
import { definePlugin } from "./index.ts";

const directories = { root: "/nowhere/root", state: "/nowhere/state" };

function plugin(type: string, id: string, requires: string[], start: () => unknown = () => `${type}.${id}`): AnyPlugin {
  return definePlugin({ type, id, requires, start });
}

describe("plugin graph", () => {
  test("starts after all plugins of a required type, and stops in reverse", async () => {
    const seen: string[] = [];
    const noted = (type: string, id: string, requires: string[]): AnyPlugin =>
      definePlugin({
        type,
        id,
        requires,
        start: ({ onStop }) => {
          seen.push(`+${id}`);
          onStop(() => {
            seen.push(`-${id}`);
          });
        },
      });
    const graph = await PluginGraph.start(
      [noted("c", "3", ["b"]), noted("b", "2", ["a"]), noted("a", "0", []), noted("a", "1", [])],
      directories,
    );
    await graph.stop();
    expect(seen).toEqual(["+0", "+1", "+2", "+3", "-3", "-2", "-1", "-0"]);
  });

  test("tells ok, skipped, failed and disabled apart, and goes on", async () => {
    const graph = await PluginGraph.start(
      [
        plugin("a", "ok", []),
        definePlugin({ type: "a", id: "skipped", start: ({ skip }) => skip("no such kernel") }),
        plugin("a", "failed", [], () => {
          throw unavailable("it rains");
        }),
        plugin("a", "disabled", []),
      ],
      { ...directories, disabled: ["a.disabled"] },
    );
    expect(graph.plugins.map(({ id, status }) => [id, status.kind])).toEqual([
      ["ok", "ok"],
      ["skipped", "skipped"],
      ["failed", "failed"],
      ["disabled", "disabled"],
    ]);
    expect([...graph.all<string>("a")]).toEqual([["ok", "a.ok"]]);
    expect(graph.get<string>("a")).toBe("a.ok");
    expect(() => graph.get("a", "failed")).toThrow('no plugin "a.failed" is running: "failed" failed: it rains');
    expect(() => graph.get("b")).toThrow('no plugin of type "b" is known');
  });

  test("names the circle", async () => {
    const circle = [plugin("a", "1", ["b"]), plugin("b", "2", ["c"]), plugin("c", "3", ["a"])];
    await expect(PluginGraph.start(circle, directories)).rejects.toThrow(
      'plugins require each other in a circle: "a.1" requires "b.2" requires "c.3" requires "a.1"',
    );
  });

  test("refuses two plugins of one name", async () => {
    await expect(PluginGraph.start([plugin("a", "1", []), plugin("a", "1", [])], directories)).rejects.toThrow(
      'two plugins are named "a.1"',
    );
  });

  test("a required plugin that isn't running stops the start, and what was started", async () => {
    let stopped = false;
    const running = definePlugin({
      type: "a",
      id: "1",
      start: ({ onStop }) =>
        onStop(() => {
          stopped = true;
        }),
    });
    const skipped = definePlugin({ type: "a", id: "2", start: ({ skip }) => skip("not here") });
    await expect(PluginGraph.start([running, skipped], { ...directories, required: ["a.2"] })).rejects.toThrow(
      'required plugin "a.2" is not running: was skipped: not here',
    );
    expect(stopped).toBe(true);
  });

  test("gives a plugin its directories and its table, completed", async () => {
    const config = configTable({ size: integer(3, "size"), name: text("x", "name"), wait: duration("1s", "wait") });
    const declaration = definePlugin({ type: "t.v1", id: "p", config, start: (init) => init });
    const graph = await PluginGraph.start([declaration], { ...directories, config: { "t.v1.p": { size: 5 } } });
    const init = graph.get<{ config: unknown; root: string; state: string }>("t.v1");
    expect(init.config).toEqual({ size: 5, name: "x", wait: 1000 });
    expect([init.root, init.state]).toEqual(["/nowhere/root/t.v1.p", "/nowhere/state/t.v1.p"]);
  });
});

describe("reloading", () => {
  const config = configTable({ size: integer(3, "size"), name: text("x", "name") });
  const open = (applied: unknown[], options: object = {}): Promise<PluginGraph> => {
    const live = definePlugin({
      type: "t.v1",
      id: "live",
      config,
      start: ({ onReload }) => onReload(["size"], (table) => applied.push(table)),
    });
    const fixed = definePlugin({ type: "t.v1", id: "fixed", config, start: () => undefined });
    return PluginGraph.start([live, fixed], { ...directories, ...options });
  };

  test("a key that can change is applied, others wait, and what is as before is not mentioned", async () => {
    const applied: unknown[] = [];
    await using graph = await open(applied, { config: { "t.v1.live": { name: "n" } } });
    expect(graph.reload({ "t.v1.live": { name: "n" } })).toEqual({ applied: [], waiting: [] });
    const report = graph.reload({ "t.v1.live": { size: 5 }, "t.v1.fixed": { size: 6 } });
    expect(report).toEqual({
      applied: ['plugins."t.v1.live".size'],
      waiting: ['plugins."t.v1.live".name', 'plugins."t.v1.fixed".size'],
    });
    // The name waits, so the plugin goes on with the one that it was started with.
    expect(applied).toEqual([{ size: 5, name: "n" }]);
    expect(graph.reload({ "t.v1.live": { size: 5, name: "n" } })).toEqual({ applied: [], waiting: [] });
  });

  test("a bad table changes nothing", async () => {
    const applied: unknown[] = [];
    await using graph = await open(applied);
    expect(() => graph.reload({ "t.v1.live": { size: 5 }, "t.v1.fixed": { size: "x" } })).toThrow('key "size"');
    expect(applied).toEqual([]);
  });
});

describe("configuration tables", () => {
  const schema = configTable({
    n: integer(0, "", { min: 0 }),
    t: text("", ""),
    d: duration("0s", ""),
    c: oneOf(["a", "b"], "a", ""),
  });
  test.each([
    [{ n: "1" }, 'key "n" must be an integer from 0, not "1"'],
    [{ n: 1.5 }, 'key "n" must be an integer from 0, not 1.5'],
    [{ t: 1 }, 'key "t" must be a string, not 1'],
    [{ d: "5 apples" }, 'key "d" must be a duration such as "10s", not "5 apples"'],
    [{ c: "z" }, 'key "c" must be one of "a", "b", not "z"'],
    [[], "expected a table, got []"],
  ])("%j is refused", (value, message) => {
    expect(() => schema.parse(value)).toThrow(message);
  });

  test("reads Go's durations in milliseconds", () => {
    for (const [written, ms] of [
      ["0", 0],
      ["1h30m", 5_400_000],
      ["1.5s", 1500],
      ["100ms", 100],
      ["-2s", -2000],
      ["250us", 0.25],
    ] as const) {
      expect(schema.parse({ d: written }).d).toBe(ms);
    }
  });
});
