/** How a container's process comes to be: its streams, the OCI runtime that starts it, its pid, the watch for its end. */

import { readFileSync } from "node:fs";
import type { ProcessExit } from "./children.ts";
import { canCheckpoint } from "./fifo-copy.ts";
import { ProcessStdio, type StreamOwner } from "./stdio.ts";
import type { TaskProcess } from "./task-process.ts";
import { receiveTerminal, TerminalStreams } from "./terminal.ts";

/** Has the runtime start a process with these streams, and write its pid to a file. */
export type Start = (streams: { consoleSocket?: string; stdio: ProcessStdio }) => Promise<void>;

/** Opens a process's streams, has the runtime start it, learns its pid and tells of its end. What was opened is closed when that fails. */
export async function spawnProcess(
  { process, owner, pidFile }: { process: TaskProcess; owner: StreamOwner; pidFile: string },
  start: Start,
  onEnd: (exit: ProcessExit) => void,
): Promise<void> {
  const { terminal, stdin, stdout, stderr } = process.request;
  const { children } = owner;
  using undo = new DisposableStack();
  const exit = await children.expecting(async () => {
    if (terminal) {
      const streams = undo.adopt(await TerminalStreams.open({ stdin, stdout }, owner), (opened) => opened.close());
      const stdio = ProcessStdio.none();
      streams.connect(await receiveTerminal((consoleSocket) => start({ consoleSocket, stdio })));
      process.streams = streams;
    } else {
      const names = { stdin, stdout, stderr };
      // No checkpoint holds execs.
      const checkpointable = process.execId === "" && canCheckpoint();
      const opened = await ProcessStdio.open(names, owner, { checkpointable });
      const streams = undo.adopt(opened, () => opened.close());
      // Before the start: the client may close the input as soon as it could write to it.
      process.streams = streams;
      undo.defer(() => {
        process.streams = undefined;
      });
      try {
        await start({ stdio: streams });
      } finally {
        streams.handedOver();
      }
    }
    process.pid = Number(readFileSync(pidFile, "latin1"));
    return { promise: children.exitOf(process.pid) };
  });
  undo.move();
  process.gone = exit.promise;
  void exit.promise.then((ended) => {
    process.reaped = true;
    onEnd(ended);
  });
}
