/** The real `ctr` on hull beside the real containerd: containers, tasks, terminals. */
import { expect } from "bun:test";
import { image, importBusybox } from "../support/busybox.ts";
import { type Comparison, compared } from "../support/compare.ts";

const pids = /\b\d{3,}\b/g;

/** Starts a container that sleeps, on both. */
async function start(pair: Comparison, id: string): Promise<void> {
  await pair.both(["containers", "create", image, id, "sleep", "600"]);
  await pair.both(["tasks", "start", "-d", "--null-io", id]);
}

/**
 * Counters that are zero now and then, which leaves them out of a document: a short life may have spent no time on either side of the kernel,
 * and a page of a file counts for whoever touches it first.
 */
const mayBeZero = /^(user|kernel)$|cache|file|dirty|writeback/;

/** The kinds of the values in a document. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => typeof inner !== "number" || !mayBeZero.test(key))
      .map(([key, inner]) => [key, shapeOf(inner)]),
  );
}

compared("ctr containers and tasks, beside the real containerd", importBusybox, ({ test }) => {
  test("containers: create, ls, info, label, rm", async ({ same }) => {
    await same(["containers", "create", "--label", "k=v", image, "c1", "sleep", "600"]);
    await same(["containers", "create", image, "c1", "sleep", "600"]);
    await same(["containers", "ls"]);
    await same(["containers", "ls", "-q"]);
    await same(["containers", "ls", "labels.k==v"]);
    await same(["containers", "ls", "labels.k==x"]);
    await same(["containers", "ls", "nonsense=="]);
    await same(["containers", "info", "c1"]);
    await same(["containers", "info", "--spec", "c1"]);
    await same(["containers", "label", "c1", "k=w", "l=m"]);
    await same(["containers", "label", "c1", "l="]);
    await same(["containers", "label", "none", "l=m"]);
    await same(["containers", "info", "none"]);
    await same(["containers", "rm", "c1"]);
    await same(["containers", "rm", "c1"]);
    await same(["containers", "create", "--snapshotter", "none", image, "c2", "true"]);
    await same(["containers", "create", "example.com/none:1", "c2", "true"]);
    await same(["containers", "ls", "-q"]);
  });

  test("tasks: start, ls, exec, pause, resume, kill, rm", async (pair) => {
    const { same } = pair;
    await start(pair, "t1");
    await same(["tasks", "start", "-d", "--null-io", "t1"]);
    await same(["tasks", "start", "-d", "--null-io", "none"]);
    await same(["tasks", "ls"], { mask: pids });
    await same(["tasks", "ls", "-q"]);
    await same(["tasks", "exec", "--exec-id", "x1", "t1", "echo", "from exec"]);
    await same(["tasks", "exec", "--exec-id", "x2", "t1", "sh", "-c", "exit 5"]);
    await same(["tasks", "exec", "--exec-id", "x3", "--cwd", "/tmp", "t1", "pwd"]);
    await same(["tasks", "exec", "--exec-id", "x4", "t1", "no-such-binary"]);
    await same(["tasks", "exec", "--exec-id", "x5", "--user", "guest", "t1", "id"]);
    await same(["tasks", "exec", "--exec-id", "x6", "t1", "cat"], { stdin: "to exec\n" });
    await same(["tasks", "exec", "--exec-id", "x7", "none", "true"]);
    await same(["tasks", "exec", "--exec-id", "bad--id", "t1", "true"]);
    await same(["tasks", "exec", "--exec-id", "x8", "--cwd", "/none", "t1", "pwd"]);
    await same(["tasks", "exec", "--exec-id", "x9", "-d", "t1", "sleep", "600"]);
    await same(["tasks", "exec", "--exec-id", "x9", "-d", "t1", "sleep", "600"]);
    await same(["tasks", "kill", "--exec-id", "x9", "-s", "SIGKILL", "t1"]);
    await same(["tasks", "kill", "--exec-id", "none", "t1"]);
    await same(["tasks", "pause", "t1"]);
    await same(["tasks", "ls"], { mask: pids });
    await same(["tasks", "pause", "t1"]);
    await same(["tasks", "exec", "--exec-id", "x10", "t1", "true"]);
    await same(["tasks", "resume", "t1"]);
    await same(["tasks", "resume", "t1"]);
    await same(["tasks", "pause", "none"]);
    await same(["tasks", "rm", "t1"]);
    await same(["containers", "rm", "t1"]);
    await same(["tasks", "kill", "-s", "NONSENSE", "t1"]);
    await same(["tasks", "kill", "-s", "SIGKILL", "t1"]);
    await pair.each(async (side) => void (await side.ctr(["tasks", "attach", "t1"])));
    await same(["tasks", "ls"], { mask: pids });
    await same(["tasks", "kill", "t1"]);
    await same(["tasks", "exec", "--exec-id", "x11", "t1", "true"]);
    await same(["tasks", "pause", "t1"]);
    await same(["tasks", "ps", "t1"]);
    await same(["tasks", "rm", "t1"]);
    await same(["tasks", "rm", "t1"]);
    await same(["containers", "rm", "t1"]);
    await same(["tasks", "kill", "none"]);
    await same(["tasks", "ps", "none"]);
    await same(["tasks", "attach", "none"]);
  });

  test("tasks: ps and metrics", async (pair) => {
    await start(pair, "t2");
    await pair.both(["tasks", "exec", "-d", "--exec-id", "sleeper", "t2", "sleep", "600"]);
    await pair.same(["tasks", "ps", "t2"], { mask: pids, sorted: true });
    const [real, ours] = await pair.both(["tasks", "metrics", "--format", "json", "t2"]);
    expect(shapeOf(JSON.parse(ours.stdout))).toEqual(shapeOf(JSON.parse(real.stdout)));
    await pair.same(["tasks", "metrics", "t2"], { mask: /\b\d+\b|\{[^}]*\}/g });
    await pair.same(["tasks", "metrics", "none"]);
    await pair.both(["tasks", "rm", "-f", "t2"]);
    await pair.both(["containers", "rm", "t2"]);
  });

  test("terminals: run -t", async ({ same }) => {
    const script = "tty; echo ready; read word; echo got $word; exit 3";
    const typed = { terminal: { when: /ready/, type: "hello\n" } };
    await same(["run", "--rm", "-t", image, "p1", "sh", "-c", script], typed);
    const ended = { terminal: { when: /ready/, type: "a line\n\u0004" } };
    await same(["run", "--rm", "-t", image, "p3", "sh", "-c", "echo ready; cat"], ended);
    await same(["run", "--rm", "-t", image, "p4", "no-such-binary"], ended);
  });

  test("terminals: exec -t", async (pair) => {
    await start(pair, "p6");
    const typed = { terminal: { when: /ready/, type: "hello\n" } };
    const script = "tty; echo ready; read word; echo got $word; exit 3";
    // ctr sizes the terminal beside the start, and tells if the process has ended by then.
    const mask = /^[^\n]*resize pty[^\n]*\n/gm;
    await pair.same(["tasks", "exec", "-t", "--exec-id", "x1", "p6", "sh", "-c", script], { ...typed, mask });
    await pair.both(["tasks", "rm", "-f", "p6"]);
  });

  test("attach: to one that runs", async (pair) => {
    await pair.both([
      "run",
      "-d",
      image,
      "a1",
      "sh",
      "-c",
      "while read l; do echo got $l; [ $l = end ] && exit 6; done",
    ]);
    await pair.same(["tasks", "attach", "a1"], { stdin: "one\nend\n" });
    await pair.same(["tasks", "rm", "a1"]);
    await pair.same(["containers", "rm", "a1"]);
  });
});
