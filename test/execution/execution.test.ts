/** Logs, memory that runs out, and checkpoints: the real `ctr` on hull beside the real containerd. */
import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { image, importBusybox } from "../support/busybox.ts";
import { type Comparison, compared, normalize, type Side } from "../support/compare.ts";
import { EventWatch } from "../support/events.ts";
import { hullCommand } from "../support/hull.ts";
import { runProgram } from "../support/process.ts";

const runc = ["--runc-binary", "runc"];

/** Takes descriptors 3 and 4 into files named by its second argument. */
const logger = `#!/bin/sh
echo "$CONTAINER_NAMESPACE $CONTAINER_ID $*" > "$2.env"
exec 5>&-
cat <&4 > "$2.err" & cat <&3 > "$2.out" & wait
`;

/** An OCI runtime whose checkpoints are a file, for hosts on which CRIU doesn't work: a restored container begins anew. */
const fakeCriu = `#!/bin/sh
args=$(dirname "$0")/args
case " $* " in
*" checkpoint "*)
  echo "$*" >> "$args"
  while [ $# -gt 0 ]; do
    case $1 in --root) root=$2 ;; --image-path) images=$2 ;; --leave-running) leave=1 ;; esac
    id=$1; shift
  done
  mkdir -p "$images/sub" && echo state > "$images/sub/pages.img"
  [ -n "$leave" ] || runc --root "$root" kill "$id" KILL
  exit ;;
*" restore "*)
  echo "$*" >> "$args"
  while [ $# -gt 0 ]; do
    case $1 in --root) root=$2 ;; --image-path) images=$2 ;; --bundle) bundle=$2 ;; --pid-file) pid=$2 ;; esac
    id=$1; shift
  done
  cat "$images/sub/pages.img" >> "$args"
  runc --root "$root" create --bundle "$bundle" --pid-file "$pid" "$id" && exec runc --root "$root" start "$id" ;;
esac
exec runc "$@"
`;

async function remove(side: Side, id: string): Promise<void> {
  await side.ctr(["tasks", "rm", "-f", id]);
  await side.ctr(["containers", "rm", id]);
}

async function ended(side: Side, id: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    const { stdout } = await side.ctr(["tasks", "ls"]);
    if (new RegExp(`^${id} .*STOPPED`, "m").test(stdout)) return;
    await Bun.sleep(20);
  }
  throw new Error(`${side.name}: "${id}" goes on`);
}

/** What both sides have in a file, each below its own folder. */
async function files(pair: Comparison, ...names: string[]): Promise<void> {
  const read = (side: Side, name: string): string => {
    const path = join(side.folder, name);
    return existsSync(path) ? side.named(normalize(readFileSync(path, "utf8"), side.folder)) : "(none)";
  };
  const [real, ours] = pair.sides;
  for (const name of names) expect([name, read(ours, name)]).toEqual([name, read(real, name)]);
}

const twoStreams = ["sh", "-c", "echo out; sleep 0.1; echo err >&2"];

compared("execution, beside the real containerd", importBusybox, ({ test }) => {
  test("logs go to a file", async (pair) => {
    await pair.each(async (side) => {
      const log = ["--log-uri", "file://FOLDER/new/directory/log"];
      await side.ctr(["run", "-d", ...runc, ...log, image, "l1", ...twoStreams]);
      await ended(side, "l1");
      await remove(side, "l1");
    });
    const [real, ours] = pair.sides.map(({ folder }) => readFileSync(join(folder, "new/directory/log"), "utf8"));
    expect(ours).toBe("out\nerr\n");
    // On a busy machine the real one's shim ends before it has written all.
    expect(ours).toStartWith(real ?? "");
  });

  test("logs go to a program", async (pair) => {
    await pair.each(async (side) => {
      writeFileSync(join(side.folder, "logger"), logger, { mode: 0o755 });
      const uri = "binary://FOLDER/logger?to=FOLDER/p1";
      await side.ctr(["run", "-d", ...runc, "--log-uri", uri, image, "p1", ...twoStreams]);
      await ended(side, "p1");
      await remove(side, "p1");
    });
    await files(pair, "p1.env", "p1.out", "p1.err");
    expect(readFileSync(join(pair.sides[1].folder, "p1.err"), "utf8")).toBe("err\n");
    await pair.same(["run", "-d", ...runc, "--log-uri", "nothing:///x", image, "p3", "true"]);
    await pair.each((side) => remove(side, "p3"));
  });

  test("a terminal's output is logged as well, which the real ctr can't ask for", async ({ sides: [, hull] }) => {
    const uris = ["file://FOLDER/terminal?max-size=1m", "binary://FOLDER/logger?to=FOLDER/program"];
    for (const uri of uris) {
      const named = uri.replaceAll("FOLDER", hull.folder);
      const args = ["run", "-d", "-t", "--log-uri", named, image, "t1", "echo", "from a terminal"];
      const env = { CONTAINERD_NAMESPACE: hull.namespace };
      const { status, stderr } = await runProgram([...hullCommand, "ctr", "--address", hull.address, ...args], { env });
      expect([status, stderr]).toEqual([0, ""]);
      await ended(hull, "t1");
      await remove(hull, "t1");
    }
    for (const file of ["terminal", "program.out"]) {
      expect(readFileSync(join(hull.folder, file), "utf8")).toBe("from a terminal\r\n");
    }
  });

  test("a kill for want of memory is told when it happens", async (pair) => {
    const seen = async (side: Side): Promise<string[]> => {
      await using watch = await EventWatch.start(side);
      const script = "sleep 0.5; (tail /dev/zero); sleep 0.5; exit 7";
      const limit = ["--null-io", "--memory-limit", "8000000"];
      await side.ctr(["run", "-d", ...runc, ...limit, image, "m1", "sh", "-c", script]);
      await ended(side, "m1");
      await remove(side, "m1");
      return (await watch.lines()).flatMap((line) => /(\/tasks\/\w+) /.exec(line)?.[1] ?? []);
    };
    const [real, ours] = [await seen(pair.sides[0]), await seen(pair.sides[1])];
    expect(ours).toEqual(real);
    expect(ours).toEqual(["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit", "/tasks/delete"]);
  });

  test("checkpoints", async (pair) => {
    await pair.each(async (side) => writeFileSync(join(side.folder, "runtime"), fakeCriu, { mode: 0o755 }));
    await pair.both(["run", "-d", "--null-io", "--runc-binary", "FOLDER/runtime", image, "c1", "sleep", "600"]);
    await pair.same(["tasks", "checkpoint", "--image-path", "FOLDER/images", "c1"]);
    await files(pair, "images/sub/pages.img");
    await pair.same(["tasks", "checkpoint", "none"]);
    await pair.both(["tasks", "checkpoint", "--exit", "--image-path", "FOLDER/images", "c1"]);
    await pair.each((side) => ended(side, "c1"));
    await pair.same(["tasks", "checkpoint", "--image-path", "FOLDER/images", "c1"]);
    const args = (side: Side): string =>
      side.named(
        normalize(readFileSync(join(side.folder, "args"), "utf8"), side.folder).replace(/--root \S+/g, "--root R"),
      );
    expect(args(pair.sides[1])).toBe(args(pair.sides[0]));
    await pair.each((side) => remove(side, "c1"));
  });

  test("a task is made from a checkpoint in the content store", async ({ sides: [, hull] }) => {
    const must = async (...command: string[]): Promise<string> => {
      const { status, stdout, stderr } = await hull.ctr(command);
      expect([command, stderr, status]).toEqual([command, stderr, 0]);
      return stdout;
    };
    await must("run", "-d", "--null-io", "--runc-binary", "FOLDER/runtime", image, "r1", "sleep", "600");
    await must("containers", "checkpoint", "--image", "--task", "r1", "example.com/checkpoint:1");
    await remove(hull, "r1");
    await must("containers", "restore", "--live", "r2", "example.com/checkpoint:1");
    expect(await must("tasks", "ls")).toMatch(/^r2 .*RUNNING/m);
    expect(await must("tasks", "exec", "--exec-id", "x", "r2", "echo", "alive")).toBe("alive\n");
    const used = readFileSync(join(hull.folder, "args"), "utf8");
    expect(used).toEndWith("state\n");
    const directory = /restore --image-path (\S+)/.exec(used)?.[1] ?? "";
    expect(directory).toStartWith(hull.folder);
    expect(existsSync(directory)).toBe(false);
    await remove(hull, "r2");
  });
});
