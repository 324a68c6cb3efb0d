import { expect, test } from "bun:test";
import { describeErrno, errno, isErrno, SysError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

test("a number has its name, text and class", () => {
  expect(describeErrno(16)).toEqual({ name: "EBUSY", text: "device or resource busy", code: "failedPrecondition" });
  expect(describeErrno(9999)).toEqual({ name: "errno 9999", text: "unknown error", code: "unknown" });
  const error = new SysError(errno.ENOENT, "open", '"/a"');
  expect(error.message).toBe('open "/a": ENOENT: no such file or directory');
  expect(error).toMatchObject({ code: "notFound", errno: 2, errnoName: "ENOENT", syscall: "open" });
  expect(isErrno(error, "EBUSY", "ENOENT")).toBe(true);
  expect(isErrno(Object.assign(new Error("x"), { code: "ENOENT" }), "ENOENT")).toBe(true);
  expect(isErrno(error, "EBUSY")).toBe(false);
});

test("the error number survives garbage collection, compilation, signals and ending children", async () => {
  const onSignal = () => {};
  process.on("SIGCHLD", onSignal);
  // A process that signals us all the while: handlers interrupt the code between a call and the reading of its number.
  const pid = String(process.pid);
  const noise = Bun.spawn(["sh", "-c", `i=0; while [ $i -lt 20000 ]; do kill -CHLD ${pid}; i=$((i+1)); done`]);
  let wrong = 0;
  let garbage: unknown[] = [];
  const deadline = performance.now() + 500;
  for (let round = 0; performance.now() < deadline; round++) {
    for (let index = 0; index < 500; index++) {
      garbage.push({ index, text: `${index}` });
      if (libc.close(-1) !== -1 || lastErrno() !== errno.EBADF) wrong++;
      if (libc.kill(0x7ffffffe, 0) !== -1 || lastErrno() !== errno.ESRCH) wrong++;
    }
    if (round % 50 === 0) garbage = [];
    if (round % 200 === 0) Bun.gc(false);
  }
  noise.kill();
  await noise.exited;
  process.off("SIGCHLD", onSignal);
  expect(wrong).toBe(0);
});
