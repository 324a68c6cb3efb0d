/** `hull pull`: progress on a terminal and elsewhere, and an interruption that loses nothing. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise } from "@hull/engine/registry/fixture";
import { busyboxLayer, tarOfFolder, writeLayout } from "../../scripts/image.ts";
import { noCli, openCli } from "../support/cli.ts";
import { runOnTerminal } from "../support/pty.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { Tap } from "../support/tap.ts";

const why = noCli ?? noRegistry;
const megabyte = 1024 * 1024;

test.skipIf(why !== undefined)(
  `pull: a bar, Ctrl-C, and on from there${why === undefined ? "" : ` (${why})`}`,
  async () => {
    await using hull = openCli();
    await using registry = await LocalRegistry.start(join(hull.folder, "registry"));
    await using tap = await Tap.open(registry.host);
    const layers = [
      { tar: busyboxLayer(), compression: "gzip" as const },
      { tar: noiseLayer(hull.folder), compression: "none" as const },
    ];
    writeLayout(join(hull.folder, "layout"), [{ name: "example.com/big:1", layers, config: { Cmd: ["echo", "ran"] } }]);
    await registry.push(join(hull.folder, "layout"), "big:1");
    const reference = `${tap.host}/big:1`;
    await hull.run("images");

    const held = tap.holdAfter(4 * megabyte);
    using terminal = runOnTerminal([...hull.command, "pull", "--plain-http", reference], {
      size: { columns: 90, rows: 20 },
    });
    await held;
    // What the registry has sent may still be on its way: what is shown has come.
    await terminal.shows(/layer [0-9a-f]{12} +downloading +\[=* +\] [2-9][\d.]*MB\/16\.\dMB/);
    process.kill(terminal.pid, "SIGINT");
    expect(await terminal.exited).toBe(130);
    expect(terminal.text()).toContain("interrupted: what was fetched is kept");
    tap.release();

    const { status, stdout, stderr } = await hull.run("pull", "--plain-http", reference);
    expect([status, stdout]).toEqual([0, `${reference}\n`]);
    expect(stderr).toMatch(/^layer [0-9a-f]{12}: (complete|already exists)/m);
    expect(stderr).not.toContain("\x1b");
    expect(Math.max(...tap.of("/blobs/").map(({ from }) => from))).toBeGreaterThan(megabyte);
    expect((await hull.run("run", "--rm", reference)).stdout).toBe("ran\n");
  },
  120_000,
);

describe.skipIf(why !== undefined)(`run pulls${why === undefined ? "" : ` (${why})`}`, () => {
  test("what isn't there, unless told never to", async () => {
    await using hull = openCli();
    await using registry = await LocalRegistry.start(join(hull.folder, "registry"));
    const layers = [{ tar: busyboxLayer(), compression: "gzip" as const }];
    writeLayout(join(hull.folder, "layout"), [
      { name: "example.com/small:1", layers, config: { Cmd: ["echo", "ran"] } },
    ]);
    await registry.push(join(hull.folder, "layout"), "small:1");
    await hull.run("images");
    const reference = `${registry.host}/small:1`;
    expect((await hull.run("run", "--rm", "--pull", "never", reference)).status).toBe(125);
    const first = await hull.run("run", "--rm", "--plain-http", reference);
    expect([first.status, first.stdout]).toEqual([0, "ran\n"]);
    expect(first.stderr).toContain(`pulling ${reference}`);
    expect(await hull.ok("run", "--rm", reference)).toBe("ran");
    const none = await hull.run("pull", "--plain-http", `${registry.host}/none:1`);
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining(`${registry.host}/none:1`)]);
  });
});

/** A layer of bytes that don't shrink. */
function noiseLayer(folder: string): Uint8Array {
  const content = join(folder, "noise");
  mkdirSync(content);
  writeFileSync(join(content, "noise"), noise(16 * megabyte));
  return tarOfFolder(content);
}
