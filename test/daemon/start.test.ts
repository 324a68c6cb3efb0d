/** The daemon's start and stop: configuration, flags, locks, sockets, signals, logs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { noContainerd } from "../support/containerd.ts";
import { hullCommand } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { leftIn, type Place, placeIn, refused, startDaemon } from "./fixture.ts";

const needsRoot = process.getuid?.() === 0 ? undefined : "needs root";

describe.skipIf(needsRoot !== undefined)(`daemon${needsRoot === undefined ? "" : ` (skipped: ${needsRoot})`}`, () => {
  let folder: Scratch;
  let place: Place;
  let number = 0;
  beforeAll(() => {
    folder = scratch();
  });
  afterAll(() => folder[Symbol.dispose]());
  /** A configuration file, and a new place. */
  const config = (text: string): string => {
    const directory = folder.join(String(++number));
    mkdirSync(directory);
    place = placeIn(directory);
    const file = `${directory}/config.toml`;
    writeFileSync(file, text);
    return file;
  };

  describe("configuration", () => {
    test("an empty file is a valid one", async () => {
      const file = config("");
      await using daemon = await startDaemon(place, file);
      expect(daemon.log()).not.toContain("level=warn");
    });

    test("an unknown key is a warning that names it, and the start goes on", async () => {
      const file = config('version = 2\noom_scor = 1\n[grpc]\n  adress = "x"\n');
      await using daemon = await startDaemon(place, file);
      expect(daemon.log()).toContain('unknown key \\"oom_scor\\" is ignored; did you mean \\"oom_score\\"?');
      expect(daemon.log()).toContain('\\"grpc.adress\\"');
    });

    test.each([
      ["oom_score = 5000", 'key "oom_score"'],
      ['[debug]\n  level = "loud"', "[debug]"],
      ['[plugins."io.containerd.gc.v1.scheduler"]\n  pause_threshold = "much"', "pause_threshold"],
      ["this is no TOML", "line 1"],
    ])("a bad value stops the start: %p", async (text, named) => {
      const file = config(text);
      const { status, stderr } = await refused(place, file);
      expect(status).toBe(1);
      expect(stderr).toContain(file);
      expect(stderr).toContain(named);
      expect(existsSync(place.root)).toBe(false);
    });

    test("a file that is not there stops the start", async () => {
      config("");
      const { status, stderr } = await refused(place, "/nonexistent/config.toml");
      expect(status).toBe(1);
      expect(stderr).toContain('"/nonexistent/config.toml"');
    });

    test("flags: an unknown one, one without a value, a bad log level", async () => {
      config("");
      expect((await refused(place, "/dev/null", "--log-levle", "x")).stderr).toContain('did you mean "--log-level"?');
      expect((await refused(place, "/dev/null", "--root")).stderr).toContain('flag "--root" needs a value');
      expect((await refused(place, "/dev/null", "-l", "loud")).stderr).toContain('not "loud"');
    });

    test("config default is a configuration that can be read back", async () => {
      const { stdout } = await runProgram([...hullCommand, "daemon", "config", "default"]);
      const file = config(stdout);
      await using daemon = await startDaemon(place, file);
      expect(daemon.log()).not.toContain("level=warn");
    });
  });

  describe("logs", () => {
    test("are JSON where the configuration says so", async () => {
      const file = config('[debug]\n  format = "json"\n');
      await using daemon = await startDaemon(place, file);
      const lines = daemon.log().trim().split("\n");
      for (const line of lines)
        expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), msg: expect.any(String) });
    });

    test("a plugin that can't start here is shown as skipped, with its reason", async () => {
      const file = config(
        'required_plugins = []\n[plugins."io.containerd.snapshotter.v1.overlayfs"]\n  root_path = "/proc/nowhere"\n',
      );
      await using daemon = await startDaemon(place, file, "-l", "debug");
      expect(daemon.log()).toMatch(/level=(warning|info) msg="[^\n]*io\.containerd\.snapshotter\.v1\.overlayfs/);
    });
  });

  describe("roots and sockets", () => {
    test("a second daemon on the same root refuses, and names the holder", async () => {
      const file = config("");
      await using daemon = await startDaemon(place, file);
      const { status, stderr } = await refused({ ...place, address: `${place.address}2` }, file);
      expect(status).toBe(1);
      expect(stderr).toContain(`"${place.root}" is in use by process ${daemon.pid} (`);
    });

    test("a second daemon on the same socket refuses, and the first one goes on", async () => {
      const file = config("");
      await using daemon = await startDaemon(place, file);
      const { status, stderr } = await refused({ ...place, root: `${place.root}2` }, file);
      expect(status).toBe(1);
      expect(stderr).toContain(`another process is serving "${place.address}`);
      await connected(place.address);
      expect(daemon.log()).toContain("serving");
    });

    test("the root of a containerd is refused", async () => {
      const file = config("");
      mkdirSync(`${place.root}/io.containerd.metadata.v1.bolt`, { recursive: true });
      writeFileSync(`${place.root}/io.containerd.metadata.v1.bolt/meta.db`, "");
      const { status, stderr } = await refused(place, file);
      expect(status).toBe(1);
      expect(stderr).toContain(`"${place.root}" belongs to a containerd`);
      expect(existsSync(place.address)).toBe(false);
    });

    test("sockets are 0660, and replace ones that nobody answers", async () => {
      const file = config("");
      await (await startDaemon(place, file)).stop("SIGKILL");
      expect(existsSync(place.address)).toBe(true);
      await using daemon = await startDaemon(place, file);
      for (const socket of [place.address, `${place.address}.ttrpc`]) {
        expect((statSync(socket).mode & 0o777).toString(8)).toBe("660");
      }
      expect(daemon.log()).toContain("successfully booted");
    });
  });

  describe("signals", () => {
    test("SIGTERM ends it in time with clients connected: status 0, no socket, no child left", async () => {
      const file = config("");
      const daemon = await startDaemon(place, file);
      await using _idle = await connected(place.address);
      const events = Bun.spawn(["ctr", "-a", place.address, "events"], { stdout: "ignore", stderr: "ignore" });
      await runProgram(["ctr", "-a", place.address, "version"]);
      const before = performance.now();
      expect(await daemon.stop()).toBe(0);
      expect(performance.now() - before).toBeLessThan(5000);
      events.kill("SIGKILL");
      await events.exited;
      expect(existsSync(place.address)).toBe(false);
      expect(existsSync(`${place.address}.ttrpc`)).toBe(false);
      expect(await leftIn(place.state)).toEqual([]);
    });

    test("SIGINT ends it too; SIGHUP and SIGUSR1 don't", async () => {
      const file = config("");
      const daemon = await startDaemon(place, file);
      process.kill(daemon.pid, "SIGHUP");
      process.kill(daemon.pid, "SIGUSR1");
      await (await connected(place.address))[Symbol.asyncDispose]();
      expect(await daemon.stop("SIGINT")).toBe(0);
      expect(daemon.log()).toContain('msg="configuration reloaded" changed=nothing');
    });

    test.each([0, 20, 60, 120, 250])("kill -9 leaves no spare shim behind, %p ms after the start", async (ms) => {
      const file = config("");
      const daemon = await startDaemon(place, file);
      // The spare starts beside the daemon: at some of these moments it is not ready yet.
      await Bun.sleep(ms);
      await daemon.stop("SIGKILL");
      expect(await leftIn(place.state)).toEqual([]);
    });
  });

  test.skipIf(noContainerd !== undefined)("the real ctr sees why a plugin was skipped", async () => {
    const file = config('[plugins."io.containerd.snapshotter.v1.overlayfs"]\n  root_path = "/proc/nowhere"\n');
    await using daemon = await startDaemon(place, file);
    const { stdout } = await runProgram(["ctr", "-a", place.address, "plugins", "ls", "-d", "id==overlayfs"]);
    expect(stdout).toMatch(/Type: +io\.containerd\.snapshotter\.v1/);
    expect(stdout).toMatch(/Message: +\S+/);
    expect(daemon.pid).toBeGreaterThan(0);
  });
});

/** A connection that says nothing. */
async function connected(path: string): Promise<AsyncDisposable> {
  const socket = connect({ path });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  return {
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
