import { expect, test } from "bun:test";
import { close, open, openFlags, pipe, setInheritable, setNonBlocking } from "./fd.ts";
import { processGroup } from "./process.ts";
import { spawn } from "./spawn.ts";
import { readStream } from "./stream.ts";

async function output(script: string, options: { session?: boolean; env?: Record<string, string> } = {}) {
  const { read, write } = pipe();
  setNonBlocking(read, true);
  const child = spawn({ argv: ["sh", "-c", script], descriptors: ["null", write, write], ...options });
  close(write);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readStream(read)) chunks.push(chunk);
  close(read);
  return { child, status: await child.ended, text: Buffer.concat(chunks).toString() };
}

test("a child has the descriptors it was given, and no other", async () => {
  const leaky = open("/dev/null", openFlags.readOnly);
  setInheritable(leaky, true);
  const { text } = await output("ls /proc/self/fd");
  expect(text.trim().split("\n")).toEqual(["0", "1", "2", "3"]);
  close(leaky);
});

test("more than three descriptors", async () => {
  const { read, write } = pipe();
  setNonBlocking(read, true);
  const child = spawn({ argv: ["sh", "-c", "echo four >&4"], descriptors: ["null", "null", "null", "null", write] });
  close(write);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readStream(read)) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("four\n");
  expect(await child.ended).toEqual({ kind: "exited", code: 0 });
  close(read);
});

test("signals are at their defaults, and the environment is what was given", async () => {
  const { text } = await output("grep -E 'SigBlk|SigIgn' /proc/self/status; echo $HULL_TEST", {
    env: { HULL_TEST: "yes" },
  });
  expect(text).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nyes\n");
});

test("exits and signals are told apart", async () => {
  expect((await output("exit 7")).status).toEqual({ kind: "exited", code: 7 });
  expect((await output("kill -9 $$")).status).toMatchObject({ kind: "signaled", signal: 9 });
  expect((await output("kill -40 $$")).status).toMatchObject({ kind: "signaled", signal: 40 });
  expect((await output("exit 137")).status).toEqual({ kind: "exited", code: 137 });
});

test("a session of its own", async () => {
  const child = spawn({ argv: ["sleep", "30"], descriptors: [], session: true });
  expect(processGroup(child.pid)).toBe(child.pid);
  child.kill("SIGTERM");
  expect(await child.ended).toMatchObject({ signal: 15 });
  child.kill("SIGTERM");
});

test("what can't be started says why", () => {
  expect(() => spawn({ argv: ["/no/such"], descriptors: [] })).toThrow('spawn "/no/such": ENOENT');
  expect(() => spawn({ argv: ["/etc/passwd"], descriptors: [] })).toThrow("EACCES");
  expect(() => spawn({ argv: ["true"], descriptors: [], cwd: "/no/such" })).toThrow('"true" in "/no/such": ENOENT');
  expect(() => spawn({ argv: [], descriptors: [] })).toThrow("empty");
  expect(() => spawn({ argv: ["a\0b"], descriptors: [] })).toThrow("NUL");
});
