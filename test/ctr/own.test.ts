/**
 * `hull ctr` beside the real `ctr`: both against the same daemon, which is hull's and then the real containerd. What they print, their
 * errors and status have to be the same but for ids and times; what changes something is done by each on a thing of its own.
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxLayer, packLayout, tarOfFolder, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import { normalize, type Side, startSides } from "../support/compare.ts";
import { noContainerd } from "../support/containerd.ts";
import { EventWatch } from "../support/events.ts";
import { hullCommand } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { type Outcome, runProgram } from "../support/process.ts";
import { type Scratch, scratch } from "../support/scratch.ts";

const image = "docker.io/library/busybox:latest";
// Two clients, two daemons: a minute on a busy machine.
setDefaultTimeout(240_000);

const suite = noContainerd === undefined ? describe : describe.skip;

suite(`hull ctr, beside the real ctr${noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`}`, () => {
  let folder: Scratch;
  let pair: Awaited<ReturnType<typeof startSides>>;

  beforeAll(async () => {
    folder = scratch();
    pair = await startSides(folder.path);
    writeBusyboxImage(folder.join("busybox.tar"), image);
    for (const side of pair.sides)
      expect((await theirs(side, ["images", "import", folder.join("busybox.tar")])).stderr).toBe("");
  });
  afterAll(async () => {
    await pair[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    for (const side of pair.sides) removeLeftovers(namespaceOf(side));
  });

  /** A namespace of its own on each side: runc's states and cgroups are the machine's, by namespace and id. */
  const namespaceOf = (side: Side): string => `own-${process.pid}-${side.name === "hull" ? "h" : "c"}`;

  async function run(
    command: readonly string[],
    side: Side,
    args: readonly string[],
    stdin?: string,
  ): Promise<Outcome> {
    return await runProgram([...command, "--address", side.address, "-n", namespaceOf(side), ...args], { stdin });
  }
  const own = (side: Side, args: readonly string[], stdin?: string) => run([...hullCommand, "ctr"], side, args, stdin);
  const theirs = (side: Side, args: readonly string[], stdin?: string) => run(["ctr"], side, args, stdin);

  /**
   * One command by both clients on each daemon. `ID` in an argument becomes a name of the client's own, which is taken out of what is
   * compared. Gives what differs.
   */
  async function same(
    args: readonly string[],
    options: { stdin?: string; mask?: RegExp; errors?: boolean } = {},
  ): Promise<void> {
    for (const side of pair.sides) {
      const real = await theirs(side, named(args, "their"), options.stdin);
      const ours = await own(side, named(args, "owner"), options.stdin);
      const shape = (text: string, name: string): string => {
        const plain = normalize(text, side.folder).replaceAll(name, "ID");
        return options.mask === undefined ? plain : plain.replace(options.mask, "…");
      };
      const shaped = (outcome: Outcome, name: string): unknown => ({
        status: outcome.status,
        stdout: shape(outcome.stdout, name),
        stderr: options.errors === false ? "" : shape(outcome.stderr, name),
      });
      const [expected, got] = [shaped(real, "their"), shaped(ours, "owner")];
      if (!Bun.deepEquals(expected, got)) differences.push({ side: side.name, command: args.join(" "), expected, got });
    }
  }

  const differences: { side: string; command: string; expected: unknown; got: unknown }[] = [];
  afterEach(() => {
    expect(differences.splice(0)).toEqual([]);
  });

  const named = (args: readonly string[], name: string): string[] =>
    args.map((argument) => argument.replaceAll("ID", name));

  test("lists and errors of images, content, snapshots, namespaces, leases, plugins", async () => {
    await same(["plugins", "ls"]);
    await same(["plugins", "ls", "-q"]);
    await same(["plugins", "ls", "-d"], { mask: /^ +(path|root|compression\w*|\w+) .*$/gm });
    await same(["images", "ls"]);
    await same(["i", "list", "-q"]);
    await same(["images", "check"]);
    await same(["images", "check", "-q"]);
    await same(["images", "tag", image, "example.com/ID:1"]);
    await same(["images", "tag", image]);
    await same(["images", "label", "example.com/ID:1", "a=b", "c=d"]);
    await same(["images", "label", "example.com/ID:1", "c="]);
    await same(["images", "label", "--replace-all", "example.com/ID:1", "e=f"]);
    await same(["images", "rm", "example.com/ID:1"]);
    await same(["images", "rm", "example.com/ID:1"]);
    await same(["content", "ls"]);
    await same(["content", "ls", "-q"]);
    await same(["content", "get", "nonsense"]);
    await same(["content", "get", `sha256:${"0".repeat(64)}`]);
    await same(["content", "rm", "sha256:xx"]);
    await same(["content", "ingest", "--expected-size", "5", "ID"], { stdin: "hello" });
    await same(["content", "ingest", "--expected-size", "6", "ID"], { stdin: "hello!!" });
    await same(["content", "ingest"]);
    // Each would show the other's.
    await same(["content", "active", "none"]);
    await same(["snapshots", "ls"]);
    await same(["snapshots", "usage"]);
    await same(["snapshots", "usage", "-b"]);
    await same(["snapshots", "info", "none"]);
    await same(["snapshots", "prepare", "-t", "/t", "ID"], { mask: /snapshots\/\d+/g });
    await same(["snapshots", "prepare", "ID"]);
    await same(["snapshots", "label", "ID", "a=b"]);
    await same(["snapshots", "label", "ID", "a="]);
    await same(["snapshots", "label", "none", "a=b"]);
    const plain = ["snapshots", "diff", "--media-type", "application/vnd.oci.image.layer.v1.tar"];
    await same([...plain, "ID"]);
    await same([...plain, "ID", "ID"]);
    await same([...plain, "none"]);
    await same([...plain]);
    await same(["snapshots", "diff", "--media-type", "text/plain", "ID"]);
    await same(["snapshots", "mounts", "/t", "ID"], { mask: /snapshots\/\d+/g });
    await same(["snapshots", "info", "ID"]);
    await same(["snapshots", "commit", "ID-done", "ID"]);
    await same(["snapshots", "view", "--mounts", "ID-view", "ID-done"], { mask: /snapshots\/\d+/g });
    await same(["snapshots", "rm", "ID-done"]);
    await same(["snapshots", "rm", "ID-view", "ID-done"]);
    await same(["snapshots", "rm", "ID-done"]);
    await same(["snapshots", "mounts"]);
    await same(["namespaces", "create", "ID", "k=v"]);
    await same(["namespaces", "create", "ID"]);
    await same(["namespaces", "label", "ID", "k=w"]);
    await same(["namespaces", "rm", "ID"]);
    await same(["namespaces", "create"]);
    await same(["leases", "create", "--id", "ID", "a=b"]);
    await same(["leases", "rm", "ID"]);
    await same(["leases", "rm", "ID"]);
  });

  test("run: output, status and errors", async () => {
    await same(["run", "--rm", image, "ID", "echo", "hello"]);
    await same(["run", "--rm", image, "ID", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    // The real ctr tells the end of its input once, maybe before the container has begun, and then waits for ever.
    for (const side of pair.sides) {
      const { stdout, status } = await own(side, ["run", "--rm", image, "in", "cat"], "through stdin\n");
      expect({ stdout, status }).toEqual({ stdout: "through stdin\n", status: 0 });
    }
    await same(["run", "--rm", "--env", "A=b c", "--cwd", "/tmp", image, "ID", "sh", "-c", "echo $A; pwd"]);
    await same(["run", "--rm", image, "ID", "no-such-binary"]);
    await same(["run", "--rm", "example.com/none:1", "ID", "true"]);
    await same(["run", "--rm", image, "bad--ID", "true"]);
    await same(["run", "--rm", "--cap-add", "X", image, "ID", "true"]);
    await same(["run", "--rm", "--with-ns", "foo", image, "ID", "true"]);
    await same(["run", "--rm", "-d", image, "ID", "true"]);
    await same(["run", image]);
    await same(["run"]);
    await same(["containers", "ls"]);
    await same(["tasks", "ls"]);
  });

  test("containers info: the same spec for the same flags", async () => {
    const flags: string[][] = [
      [],
      ["--env", "A=b", "--env", "PATH=/x"],
      ["--cwd", "/tmp", "--read-only"],
      ["--net-host"],
      ["--privileged"],
      ["--memory-limit", "67108864"],
      ["--tty"],
      ["--mount", "type=bind,src=/tmp,dst=/host,options=rbind:ro"],
      ["--label", "k=v", "--annotation", "a=b"],
      ["--cap-add", "CAP_SYS_ADMIN", "--cap-drop", "CAP_MKNOD"],
      ["--cpu-quota", "50000", "--cpu-period", "100000"],
      ["--allow-new-privs", "--rootfs-propagation", "rslave"],
      ["--with-ns", "network:/var/run/netns/x"],
      ["--device", "/dev/null"],
    ];
    for (const side of pair.sides) {
      for (const some of flags) {
        const facts: unknown[] = [];
        for (const [name, client] of [
          ["their", theirs],
          ["owner", own],
        ] as const) {
          const created = await client(side, ["containers", "create", ...some, image, name, "sleep", "1"]);
          expect(`${created.status} ${created.stderr}`).toBe("0 ");
          const shown = await theirs(side, ["containers", "info", name]);
          const mine = await own(side, ["containers", "info", name]);
          expect(JSON.parse(mine.stdout)).toEqual(JSON.parse(shown.stdout));
          facts.push(JSON.parse(normalize(shown.stdout.replaceAll(name, "NAME"), side.folder)));
          expect((await own(side, ["containers", "rm", name])).stderr).toBe("");
        }
        const [expected, ours] = facts as [Info, Info];
        // Newer containerds mask one path more.
        ours.Spec.linux.maskedPaths = ours.Spec.linux.maskedPaths?.filter(
          (path) => path !== "/sys/devices/virtual/powercap",
        );
        expect({ side: side.name, flags: some, info: ours }).toEqual({ side: side.name, flags: some, info: expected });
      }
    }
  });

  interface Info {
    Spec: { linux: { maskedPaths?: string[] } };
  }

  test("tasks: start, exec, kill, pause, metrics, rm", async () => {
    const pids = /\b\d{3,}\b/g;
    await same(["containers", "create", image, "ID", "sleep", "600"]);
    await same(["tasks", "start", "-d", "--null-io", "ID"]);
    await same(["tasks", "ps", "ID"], { mask: / *\b\d{2,}\b *-|(?<=PID) +/g });
    await same(["tasks", "exec", "--exec-id", "x1", "ID", "echo", "from exec"]);
    await same(["tasks", "exec", "--exec-id", "x2", "ID", "sh", "-c", "exit 5"]);
    await same(["tasks", "exec", "--exec-id", "x4", "ID", "no-such-binary"]);
    await same(["tasks", "exec", "ID"]);
    await same(["tasks", "pause", "ID"]);
    await same(["tasks", "resume", "ID"]);
    await same(["tasks", "metrics", "ID"], { mask: /^(\S+ +)[\d[\] ]+$/gm });
    await same(["tasks", "rm", "ID"]);
    await same(["containers", "rm", "ID"], { mask: pids });
    await same(["tasks", "kill", "-s", "NOPE", "ID"]);
    await same(["tasks", "kill", "-s", "KILL", "ID"]);
    await same(["tasks", "attach", "ID"], { errors: false });
    await same(["tasks", "kill", "none"]);
    await same(["tasks", "rm", "none"]);
    await same(["tasks", "start", "none"]);
    for (const side of pair.sides) {
      for (const name of ["their", "owner"]) {
        await own(side, ["tasks", "rm", "-f", name]);
        await own(side, ["containers", "rm", name]);
      }
    }
  });

  test("events: both print the same lines", async () => {
    for (const side of pair.sides) {
      const watches = await Promise.all(
        [["ctr"], [...hullCommand, "ctr"]].map((client) => EventWatch.start(side, client)),
      );
      await theirs(side, ["run", "--rm", image, "ev", "true"]);
      const [real = [], mine = []] = await Promise.all(watches.map((watch) => watch.printed()));
      expect(real.length).toBeGreaterThan(5);
      // A field that containerd 1.6 does not know.
      expect(mine.map((line) => line.replace(/,"snapshotter":"\w+"/, ""))).toEqual(real);
    }
  });

  test("help and wrong usage have ctr's form, and suggest what was meant", async () => {
    const [, ours] = pair.sides;
    for (const args of [
      ["images", "ls", "--help"],
      ["tasks", "--help"],
      ["tasks", "kill", "--help"],
    ])
      await same(args);
    await same(["images", "ls", "--bogus"]);
    await same(["run", "--cpus", "x", "a", "b"], { mask: /NAME:[\s\S]*/ });
    const wrong = await own(ours, ["imags", "ls"]);
    expect(wrong).toEqual({ status: 3, stdout: "", stderr: `No help topic for 'imags'\nDid you mean "ctr images"?\n` });
    const missing = await own(ours, ["images", "build-erofs-cache"]);
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect(missing.stderr).toContain('"build-erofs-cache" is not supported by hull');
    const nobody = await runProgram([...hullCommand, "ctr", "-a", folder.join("none.sock"), "images", "ls"]);
    expect(nobody.status).toBe(1);
    expect(nobody.stderr).toContain("no daemon: there is no socket");
  });

  /** Busybox with a layer of its own above, which says `mark` in /etc/who. */
  function writeMarked(name: string, mark: string, archive: string): void {
    const files = folder.join(`files-${mark}`);
    mkdirSync(join(files, "etc"), { recursive: true });
    writeFileSync(join(files, "etc/who"), mark);
    const layers = [busyboxLayer(), tarOfFolder(files)].map((tar) => ({ tar, compression: "gzip" as const }));
    const layout = folder.join(`layout-${mark}-${layouts++}`);
    writeLayout(layout, [{ name, layers, config: { Env: ["PATH=/bin"], Cmd: ["sh"] } }]);
    packLayout(layout, archive);
  }
  let layouts = 0;

  test("an image that isn't unpacked is unpacked by what needs it", async () => {
    const names = { their: "example.com/their:1", owner: "example.com/owner:1" };
    for (const side of pair.sides) {
      for (const [who, client] of [
        ["their", theirs],
        ["owner", own],
      ] as const) {
        const archive = folder.join(`${who}.tar`);
        // Another layer for each: what one unpacks is not there for the other.
        writeMarked(names[who], who, archive);
        const target = folder.join(`${side.name}-${who}`);
        mkdirSync(target);
        const imported = ["images", "import", "--no-unpack", archive];
        await theirs(side, imported);
        const listed = await theirs(side, ["images", "ls", `name==${names[who]}`]);
        const digest = /sha256:[0-9a-f]{64}/.exec(listed.stdout)?.[0] ?? "";
        const unpacked = await client(side, ["snapshots", "unpack", digest]);
        expect(unpacked).toEqual({
          status: 0,
          stderr: "",
          stdout: `unpacking ${digest} (application/vnd.oci.image.manifest.v1+json)...done\n`,
        });
        await theirs(side, ["images", "rm", "--sync", names[who]]);
        await theirs(side, imported);
        expect(await client(side, ["run", "--rm", names[who], who, "cat", "/etc/who"])).toMatchObject({ stdout: who });
        await theirs(side, ["images", "rm", "--sync", names[who]]);
        await theirs(side, imported);
        const mount = ["images", "mount", "--label", "mounted=yes", names[who], target];
        expect(await client(side, mount)).toMatchObject({ status: 0 });
        try {
          // The real one takes the flag for nothing.
          const labels = (await theirs(side, ["images", "ls", `name==${names[who]}`])).stdout;
          expect(labels.includes("mounted=yes")).toBe(client === own);
          expect(readFileSync(`${target}/etc/who`, "utf8")).toBe(who);
        } finally {
          await client(side, ["images", "unmount", "--rm", target]);
        }
        await theirs(side, ["images", "rm", "--sync", names[who]]);
      }
    }
    await same(["snapshots", "unpack", "nonsense"]);
    await same(["snapshots", "unpack", `sha256:${"0".repeat(64)}`]);
  });

  test("containers restore tells what a checkpoint lacks", async () => {
    await same(["containers", "restore"]);
    await same(["containers", "restore", "ID"]);
    await same(["containers", "restore", "ID", image]);
    await same(["containers", "create", image, "ID", "true"]);
    await same(["containers", "checkpoint", "--image", "--rw", "ID", "example.com/ID:ck"]);
    await same(["containers", "restore", "back-ID", "example.com/ID:ck"]);
    await same(["containers", "rm", "ID"]);
    await same(["images", "rm", "example.com/ID:ck"]);
    await same(["containers", "ls"]);
  });

  test("what newer ctrs have: sandboxes, the spec to a file, layers that go", async () => {
    const [, hull] = pair.sides;
    const answer = async (args: readonly string[]): Promise<string> => {
      const { status, stdout, stderr } = await own(hull, args);
      return `${status} ${stdout}${stderr}`.replaceAll(/\d{4}-\d\d-\d\d[T ][\d:.]+( \+0000 UTC|Z)/g, "TIME");
    };
    const spec = folder.join("pod.json");
    writeFileSync(spec, (await own(hull, ["oci", "spec"])).stdout);
    // As ctr 2.1.9 was seen to answer beside hull.
    expect(await answer(["sandboxes", "run", folder.join("none"), "pod"])).toBe(
      `1 ctr: failed to read sandbox config: open ${folder.join("none")}: no such file or directory\n`,
    );
    expect(await answer(["sandboxes", "run", spec, "pod"])).toBe("0 pod\n");
    expect(await answer(["sandboxes", "run", spec, "pod"])).toStartWith("1 ctr: failed to create new sandbox: ");
    expect(await answer(["sandboxes", "ls"])).toMatch(
      /^0 ID {2}CREATED +RUNTIME +\npod TIME +io.containerd.runc.v2 \n$/,
    );
    expect(await answer(["sandboxes", "ls", "--filters", "id==none"])).toBe("0 ID CREATED RUNTIME \n");
    const dump = folder.join("spec.json");
    const run = ["run", "--rm", "--sandbox", "pod", "--dump-config", dump, image, "in-pod", "echo", "in it"];
    expect(await answer(run)).toBe("0 in it\n");
    expect(JSON.parse(readFileSync(dump, "utf8"))).toMatchObject({ process: { args: ["echo", "in it"] } });
    expect(await answer(["run", "--rm", "--dump-config", "", image, "in-pod", "true"])).toBe(
      "1 ctr: file name is required with --dump-config\n",
    );
    expect(await answer(["sandboxes", "rm", "pod", "none"])).toBe(
      '0 time="TIME" level=info msg="deleted: pod"\ntime="TIME" level=error msg="failed to load sandbox none" error="bucket \\"none\\" not found"\n',
    );
    const archive = folder.join("layers.tar");
    writeMarked("example.com/layers:1", "layers", archive);
    const discard = ["images", "import", "--discard-unpacked-layers"];
    expect(await answer([...discard, archive])).toBe('1 ctr: "--discard-unpacked-layers" requires "--local" flag\n');
    const before = (await own(hull, ["content", "ls", "-q"])).stdout.split("\n").length;
    expect(await answer([...discard, "--local", "--sync-fs", archive])).toStartWith(
      "0 unpacking example.com/layers:1 ",
    );
    expect(await answer(["run", "--rm", "example.com/layers:1", "layers", "cat", "/etc/who"])).toBe("0 layers");
    // Of manifest, config and layer the layer goes, with a collection that is waited for.
    await own(hull, ["leases", "create", "--id", "sweep"]);
    await own(hull, ["leases", "rm", "--sync", "sweep"]);
    expect((await own(hull, ["content", "ls", "-q"])).stdout.split("\n").length).toBe(before + 2);
  });

  test("import by the daemon's transfer service", async () => {
    const [, hull] = pair.sides;
    const { stdout, stderr, status } = await own(hull, ["images", "import", folder.join("busybox.tar")]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^unpacking docker.io\/library\/busybox:latest \(sha256:[0-9a-f]{64}\)\.\.\.done\n$/);
    const gone = await own(hull, ["images", "import", folder.join("none.tar")]);
    expect(gone.stderr).toBe(`ctr: open ${folder.join("none.tar")}: no such file or directory\n`);
  });
});
