/** The events of the real `ctr`'s commands: on hull as on the real containerd, in the same order with the same fields. */
import { expect } from "bun:test";
import { busyboxArchive, image } from "../support/busybox.ts";
import { type Comparison, compared, normalize, type Side } from "../support/compare.ts";
import { EventWatch } from "../support/events.ts";

compared(
  "events of ctr, beside the real containerd",
  async (pair) => void busyboxArchive(pair),
  ({ test }) => {
    /** What one side publishes while commands are run. */
    async function eventsOf(side: Side, commands: readonly (readonly string[])[]): Promise<string[]> {
      await using watch = await EventWatch.start(side);
      for (const command of commands) await side.ctr(command);
      const lines = await watch.lines();
      return lines.map((line) =>
        normalize(line, side.folder)
          // Newer ones publish these in the namespace itself, as hull does.
          .replace(/^\S+ (?=\/namespaces\/)/, "")
          .replace(/"pid":\d+/g, '"pid":N')
          .replace(/"(exited_at|createdat)":("[^"]*"|\{[^}]*\})/g, '"$1":…')
          .replace(/"(workdir|upperdir|lowerdir)=[^"]*"/g, '"$1"'),
      );
    }

    async function sameEvents({ sides }: Comparison, ...commands: readonly (readonly string[])[]): Promise<void> {
      const [real, ours] = [await eventsOf(sides[0], commands), await eventsOf(sides[1], commands)];
      expect(real.length).toBeGreaterThan(0);
      // The index of an imported archive belongs to no image: newer containerds tell, as hull does, that it is collected.
      expect(inOrder(ours.filter((line) => !line.includes("/content/delete")))).toEqual(inOrder(real));
    }

    /** A task's events come from its shim, by a connection of its own: they are in order, and so are all others, but not with each other. */
    const inOrder = (lines: readonly string[]) => Map.groupBy(lines, (line) => line.includes(" /tasks/"));

    test("namespaces", (pair) =>
      sameEvents(
        pair,
        ["namespaces", "create", "one", "a=b"],
        ["namespaces", "label", "one", "d=e"],
        ["namespaces", "label", "one", "a=c"],
        ["namespaces", "create", "one"],
        ["namespaces", "rm", "one"],
      ));

    test("import, unpack, tag, label, rm", (pair) =>
      sameEvents(
        pair,
        ["images", "import", pair.folder.join("busybox.tar")],
        ["images", "tag", image, "example.com/other:1"],
        ["images", "label", "example.com/other:1", "a=b"],
        ["images", "rm", "example.com/other:1"],
        ["content", "ingest", "x"],
      ));

    test("snapshots", (pair) =>
      sameEvents(
        pair,
        ["snapshots", "prepare", "one"],
        ["snapshots", "commit", "two", "one"],
        ["snapshots", "view", "three", "two"],
        ["snapshots", "label", "three", "a=b"],
        ["snapshots", "rm", "three", "two"],
      ));

    test("containers", (pair) =>
      sameEvents(
        pair,
        ["containers", "create", image, "c1", "true"],
        ["containers", "label", "c1", "a=b"],
        ["containers", "rm", "c1"],
      ));

    test("run, to its end", (pair) => sameEvents(pair, ["run", "--rm", image, "ev", "sh", "-c", "exit 3"]));

    test("run of a missing program", (pair) => sameEvents(pair, ["run", "--rm", image, "ev", "no-such-binary"]));

    test("tasks: exec, pause, resume, kill, rm", (pair) =>
      sameEvents(
        pair,
        ["run", "-d", "--null-io", image, "t1", "sleep", "600"],
        ["tasks", "exec", "--exec-id", "x1", "t1", "sh", "-c", "exit 2"],
        ["tasks", "exec", "--exec-id", "x2", "t1", "no-such-binary"],
        ["tasks", "pause", "t1"],
        ["tasks", "resume", "t1"],
        ["tasks", "kill", "-s", "SIGKILL", "t1"],
        ["tasks", "attach", "t1"],
        ["tasks", "rm", "t1"],
        ["containers", "rm", "t1"],
      ));
  },
);
