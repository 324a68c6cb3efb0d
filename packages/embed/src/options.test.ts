import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { configTable, integer, tablesOf, text } from "@hull/engine/plugin/config";
import { definePlugin } from "@hull/engine/plugin/index";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { type EngineOptions, readOptions } from "./options.ts";

const runtime = definePlugin({
  type: "io.test.runtime",
  id: "task",
  config: configTable({
    program: text("", "A program"),
    count: integer(1, "How many", { min: 0, max: 9 }),
    hosts: tablesOf({ url: text("", "Where") }, "Hosts"),
  }),
  start: () => ({}),
});
const name = "io.test.runtime.task";
const read = (options: unknown) => readOptions(options as EngineOptions, [runtime]);

/** Why options are refused. */
function refusal(options: unknown): string {
  try {
    read(options);
  } catch (error) {
    expect(isCode(error, "invalidArgument")).toBe(true);
    return (error as Error).message;
  }
  throw new Error("they were taken");
}

describe("options of an engine", () => {
  test("are completed", () => {
    const { state, ...rest } = read({ root: "/var/lib/a b/../hull" });
    expect(rest).toEqual({
      root: "/var/lib/hull",
      namespace: "default",
      containers: "keep",
      plugins: {},
      log: undefined,
    });
    expect(state).toMatch(/^\/run\/hull-engine\/var-lib-hull-[0-9a-f]{8}$/);
    expect(read({ root: "hull", state: "state" })).toMatchObject({
      root: join(process.cwd(), "hull"),
      state: join(process.cwd(), "state"),
    });
  });

  test("give each root a state of its own that sockets fit into", () => {
    const root = fc.array(fc.constantFrom("a", "b", "-", "/", ".a", "ü"), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(root, root, (one, other) => {
        const [first, second] = [one, other].map((parts) => read({ root: `/x${parts.join("")}` }));
        expect(Buffer.byteLength(first?.state ?? "")).toBeLessThan(80);
        expect(first?.state === second?.state).toBe(first?.root === second?.root);
      }),
    );
  });

  test.each([
    [undefined, /takes options: Engine\.open\(\{ root: "\/var/],
    ["/var/lib/hull", /takes options/],
    [{}, /needs a root/],
    [{ root: "" }, /needs a root/],
    [{ root: 5 }, /needs a root/],
    [{ root: "/" }, /can't be "\/"/],
    [{ root: "/a", contaners: "end" }, /no option "contaners"; did you mean "containers"\?/],
    [{ root: "/a", containers: "stay" }, /"containers" must be "keep" or "end", not "stay"/],
    [{ root: "/a", namespace: "a b" }, /option "namespace": identifier "a b" must match/],
    [{ root: "/a", state: "/x/../a" }, /root and state are both "\/a"/],
    [{ root: "/a", state: `/${"s".repeat(91)}` }, /is longer than 90 bytes/],
    [{ root: "/a", state: "" }, /"state" must be the path of a folder/],
    [{ root: "/a", log: () => {} }, /"log" must have a method/],
    [{ root: "/a", plugins: [] }, /"plugins" must be tables/],
    [
      { root: "/a", plugins: { "io.test.runtime.tasks": {} } },
      /plugin that is not known, "io\.test\.runtime\.tasks"; did you mean "io\.test\.runtime\.task"\?/,
    ],
    [
      { root: "/a", plugins: { [name]: { count: 10 } } },
      /table "io\.test\.runtime\.task": key "count" must be an integer/,
    ],
    [{ root: "/a", plugins: { [name]: { progam: "x" } } }, /has no key "progam"; did you mean "program"\?/],
    [
      { root: "/a", plugins: { [name]: { hosts: { here: { ulr: "" } } } } },
      /table "io\.test\.runtime\.task\.hosts\.here" has no key "ulr"; did you mean "url"\?/,
    ],
  ])("say what is wrong with %j", (options, message) => {
    expect(refusal(options)).toMatch(message);
  });

  test("are taken", () => {
    const plugins = { [name]: { program: "runc", count: 0, hosts: { here: { url: "x" } } } };
    expect(read({ root: "/a", state: "/b", namespace: "n", containers: "end", plugins, log: console })).toEqual({
      root: "/a",
      state: "/b",
      namespace: "n",
      containers: "end",
      plugins,
      log: console,
    });
  });
});
