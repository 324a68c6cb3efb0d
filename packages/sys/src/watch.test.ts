import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { close, pipe, read, write } from "./fd.ts";
import { exitCodeOf, openProcess, reap } from "./process.ts";
import { socketPair } from "./socket.ts";
import { processEnd, ready } from "./watch.ts";

const descriptors = () => readdirSync("/proc/self/fd").length;

test("a pipe becomes readable; the wait takes nothing from it and leaks nothing", async () => {
  const { read: out, write: into } = pipe();
  await ready(into, "write");
  const before = descriptors();
  for (let index = 0; index < 200; index++) {
    const waiting = ready(out, "read");
    write(into, new Uint8Array([index]));
    await waiting;
    const bytes = new Uint8Array(2);
    expect(read(out, bytes)).toBe(1);
    expect(bytes[0]).toBe(index);
  }
  expect(descriptors()).toBe(before);
  const end = ready(out, "read");
  close(into);
  await end;
  close(out);
});

test("a socket's data stay for whoever waited", async () => {
  const [a, b] = socketPair({ nonBlocking: true });
  const waiting = ready(b, "read");
  write(a, new Uint8Array([1, 2, 3]));
  await waiting;
  expect(read(b, new Uint8Array(10))).toBe(3);
  close(a);
  close(b);
});

test("a wait can be given up", async () => {
  const { read: out, write: into } = pipe();
  const before = descriptors();
  const controller = new AbortController();
  const waiting = ready(out, "read", { signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await expect(waiting).rejects.toMatchObject({ code: "canceled" });
  await expect(ready(out, "read", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "canceled" });
  expect(descriptors()).toBe(before);
  close(out);
  close(into);
});

test("the end of a process that isn't our child, and of many at once", async () => {
  const shell = Bun.spawn(["sh", "-c", "for i in 1 2 3 4 5; do sleep 0.1 >/dev/null & echo $!; done; exec >&-; wait"], {
    stdout: "pipe",
  });
  const pids = (await new Response(shell.stdout).text()).trim().split("\n").map(Number);
  expect(pids).toHaveLength(5);
  const idle = process.cpuUsage();
  await Promise.all(pids.map((pid) => processEnd(pid)));
  expect(process.cpuUsage(idle).user).toBeLessThan(90_000);
  await shell.exited;
  await expect(processEnd(pids[0] ?? 0)).rejects.toMatchObject({ errnoName: "ESRCH" });
});

test("a process that ended before the wait began", async () => {
  const child = Bun.spawn(["true"]);
  const pidfd = openProcess(child.pid);
  await child.exited;
  await processEnd({ pidfd });
  close(pidfd);
  expect(() => reap(child.pid)).toThrow("ECHILD");
});

test("an adopted child is reaped, with its status", async () => {
  const script = `
    import { becomeSubreaper, exitCodeOf, reap, kill } from ${JSON.stringify(`${import.meta.dir}/process.ts`)};
    import { processEnd } from ${JSON.stringify(`${import.meta.dir}/watch.ts`)};
    becomeSubreaper();
    const shell = Bun.spawn(["sh", "-c", "(sleep 30 >/dev/null & echo $!)"], { stdout: "pipe" });
    const pid = Number(await new Response(shell.stdout).text());
    await shell.exited;
    console.log(String(reap(pid)));
    kill(pid, "SIGTERM");
    await processEnd(pid);
    const status = reap(pid);
    console.log(status && exitCodeOf(status));`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  expect(await new Response(child.stdout).text()).toBe("undefined\n143\n");
  expect(exitCodeOf({ kind: "exited", code: 3 })).toBe(3);
});

test("a wait that isn't to keep the process alive doesn't", async () => {
  const script = `
    import { ready } from ${JSON.stringify(`${import.meta.dir}/watch.ts`)};
    import { pipe } from ${JSON.stringify(`${import.meta.dir}/fd.ts`)};
    ready(pipe().read, "read", { keepAlive: false });`;
  const child = Bun.spawn([process.execPath, "-e", script]);
  expect(await Promise.race([child.exited, Bun.sleep(30_000)])).toBe(0);
  child.kill();
});
