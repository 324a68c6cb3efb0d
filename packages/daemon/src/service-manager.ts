import { HullError } from "@hull/errors";
import { monotonicNanos } from "@hull/sys/clock";
import { sendDatagram } from "@hull/sys/socket";

/** Names the socket of the service manager that started the daemon. */
const socketVariable = "NOTIFY_SOCKET";

/**
 * Tells the service manager (systemd, unit type "notify") how far the daemon is: datagrams of `NAME=value` lines, sd_notify(3). Without a
 * manager nothing is sent. One that can't be reached is no reason not to serve: `failed` gets the error.
 */
export interface ServiceManager {
  /** Clients can connect. */
  ready(): void;
  /** The configuration is read anew; `ready` tells when that is done. */
  reloading(): void;
  /** The daemon ends by intention. */
  stopping(): void;
  /** The daemon doesn't start, and why. */
  status(text: string): void;
}

/** Takes the socket that the environment names, so that no child speaks in the daemon's name. */
export function takeServiceManager(
  failed: (message: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): ServiceManager {
  const socket = env[socketVariable] ?? "";
  delete env[socketVariable];
  const send = (...lines: string[]): void => {
    // Other kinds of address ("vsock:…") come to virtual machines only.
    if (!/^[/@]./.test(socket)) return;
    try {
      sendDatagram(socket, new TextEncoder().encode(lines.join("\n")));
    } catch (error) {
      failed(HullError.from(error).message);
    }
  };
  return {
    ready: () => send("READY=1", `MAINPID=${process.pid}`),
    // systemd tells an old message from a new one by the time since the machine's start, µs.
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${monotonicNanos() / 1000n}`),
    stopping: () => send("STOPPING=1"),
    status: (text) => send(`STATUS=${text.replaceAll("\n", " ")}`),
  };
}
