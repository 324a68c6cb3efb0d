import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { close } from "@hull/sys/fd";
import { listenDatagrams, receiveDescriptors } from "@hull/sys/socket";
import { takeServiceManager } from "./service-manager.ts";

test("the manager hears what the daemon does, and no child can speak to it", () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-notify-"));
  const path = join(directory, "s");
  const listener = listenDatagrams(path);
  const received = (): string => {
    const into = new Uint8Array(1000);
    return new TextDecoder().decode(into.subarray(0, receiveDescriptors(listener, into)?.count ?? 0));
  };
  try {
    const env = { NOTIFY_SOCKET: path };
    const failures: string[] = [];
    const manager = takeServiceManager((message) => failures.push(message), env);
    expect(env).toEqual({} as typeof env);
    manager.ready();
    expect(received()).toBe(`READY=1\nMAINPID=${process.pid}`);
    manager.status("two\nlines");
    expect(received()).toBe("STATUS=two lines");
    manager.reloading();
    expect(received()).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    manager.stopping();
    expect(received()).toBe("STOPPING=1");
    expect(failures).toEqual([]);
  } finally {
    close(listener);
    rmSync(directory, { recursive: true });
  }
});

test("without a manager nothing is sent; one that is gone is told", () => {
  const failures: string[] = [];
  const failed = (message: string): void => void failures.push(message);
  for (const env of [{}, { NOTIFY_SOCKET: "" }, { NOTIFY_SOCKET: "vsock:2:1234" }])
    takeServiceManager(failed, env).ready();
  expect(failures).toEqual([]);
  takeServiceManager(failed, { NOTIFY_SOCKET: "/nowhere/s" }).ready();
  expect(failures).toHaveLength(1);
  expect(failures[0]).toContain("/nowhere/s");
});
