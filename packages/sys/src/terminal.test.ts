import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { close, open, openFlags, setNonBlocking } from "./fd.ts";
import { connectUnix, sendDescriptors } from "./socket.ts";
import { spawn } from "./spawn.ts";
import { readStream, writeAll } from "./stream.ts";
import { ConsoleSocket, openTerminal, rawMode, setTerminalSize, terminalNumber, terminalSize } from "./terminal.ts";
import { temporaryDirectory } from "./testing.ts";

const everything = async (fd: number) => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readStream(fd)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

test("a program on a terminal sees its size and echoes; the end of the program is the end of the stream", async () => {
  const { controller, peer } = openTerminal();
  setNonBlocking(controller, true);
  setTerminalSize(controller, { columns: 132, rows: 43 });
  expect(terminalSize(peer)).toEqual({ columns: 132, rows: 43 });
  expect(existsSync(`/dev/pts/${terminalNumber(controller)}`)).toBe(true);
  const child = spawn({ argv: ["sh", "-c", "stty size; read a; echo got $a"], descriptors: [peer, peer, peer] });
  close(peer);
  const output = everything(controller);
  await writeAll(controller, new TextEncoder().encode("hello\n"));
  expect(await child.ended).toEqual({ kind: "exited", code: 0 });
  expect(await output).toContain("43 132\r\n");
  expect(await output).toContain("got hello\r\n");
  close(controller);
});

test("raw mode passes bytes as they are, and is undone", async () => {
  const { controller, peer } = openTerminal();
  setNonBlocking(controller, true);
  {
    using _raw = rawMode(peer);
    await writeAll(peer, new TextEncoder().encode("a\n"));
  }
  await writeAll(peer, new TextEncoder().encode("b\n"));
  close(peer);
  expect(await everything(controller)).toBe("a\nb\r\n");
  close(controller);
  const file = open("/dev/null", openFlags.readWrite);
  expect(() => rawMode(file)).toThrow("ENOTTY");
  expect(() => terminalSize(file)).toThrow("ENOTTY");
  close(file);
});

test("a terminal comes over a console socket", async () => {
  using directory = temporaryDirectory();
  const path = directory.at("console");
  {
    using socket = new ConsoleSocket(path);
    const receiving = socket.receive();
    const { controller, peer } = openTerminal();
    const connection = connectUnix(path);
    sendDescriptors(connection, new TextEncoder().encode("/dev/ptmx"), [controller]);
    close(connection);
    const received = await receiving;
    expect(terminalNumber(received)).toBe(terminalNumber(controller));
    for (const fd of [received, controller, peer]) close(fd);
    const again = socket.receive({ signal: AbortSignal.timeout(5) });
    await expect(again).rejects.toMatchObject({ code: "canceled" });
  }
  expect(existsSync(path)).toBe(false);
});

test("a peer that sends no terminal is an error", async () => {
  using directory = temporaryDirectory();
  using socket = new ConsoleSocket(directory.at("console"));
  const receiving = socket.receive();
  close(connectUnix(socket.path));
  await expect(receiving).rejects.toMatchObject({ code: "dataLoss" });
});
