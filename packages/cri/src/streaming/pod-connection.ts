import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { Descriptor } from "@hull/sys/fd";
import { inNetworkNamespace } from "@hull/sys/namespace";
import { connectionResult, shutdownWriting, startConnection } from "@hull/sys/tcp";
import { ready } from "@hull/sys/watch";
import { wrapped } from "../wrap.ts";
import { copyIn, copyOut } from "./copy.ts";
import type { DuplexStream } from "./streams.ts";

/** How long the second direction of a connection may go on when the first has ended, as with containerd. */
const lastWordsMs = 1000;

/** A pod's network as port-forwarding needs it. */
export interface PodNetworkPlace {
  readonly id: string;
  /** Path of its network namespace; undefined for the host's. */
  readonly namespace: string | undefined;
}

/** Connects a stream to a port of the pod's loopback interface. Resolves when either side has ended it. @throws Unknown if nobody listens */
export async function connectToPod(
  pod: PodNetworkPlace,
  port: number,
  stream: DuplexStream,
  lost: AbortSignal,
): Promise<void> {
  try {
    using socket = new Descriptor(await connectLocal(pod, port, lost));
    await forward(socket.fd, stream, lost);
  } catch (error) {
    throw wrapped(
      `failed to execute portforward in network namespace ${JSON.stringify(pod.namespace ?? "host")}`,
      error,
    );
  }
}

async function connectLocal(pod: PodNetworkPlace, port: number, signal: AbortSignal): Promise<number> {
  const problems: string[] = [];
  for (const family of ["4", "6"] as const) {
    try {
      return await connect(pod.namespace, family, port, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = isErrno(error, "ECONNREFUSED") ? "connection refused" : String(error);
      problems.push(`dial tcp${family} ${family === "4" ? "127.0.0.1" : "[::1]"}:${port}: connect: ${reason}`);
    }
  }
  const [first, second] = problems;
  throw unknown(
    `failed to connect to localhost:${port} inside namespace ${JSON.stringify(pod.id)}, IPv4: ${first} IPv6 ${second} `,
  );
}

async function connect(
  namespace: string | undefined,
  family: "4" | "6",
  port: number,
  signal: AbortSignal,
): Promise<number> {
  const start = (): number => startConnection(family, port);
  // A socket stays in the namespace in which it was made.
  using socket = new Descriptor(namespace === undefined ? start() : inNetworkNamespace(namespace, start));
  await ready(socket.fd, "write", { signal });
  connectionResult(socket.fd);
  return socket.release();
}

/** Copies both ways. When one direction has ended the other has a moment. */
async function forward(socket: number, { input, output }: DuplexStream, lost: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, lost]);
  const fromPod = copyOut(socket, output, signal);
  const toPod = copyIn(input, socket, signal).then(() => shutdownWriting(socket));
  const both = [fromPod, toPod].map((copy) => copy.catch((error: unknown) => (signal.aborted ? undefined : error)));
  const first = await Promise.race(both);
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), lastWordsMs);
  const second = await Promise.race([Promise.all(both).then((results) => results.find(Boolean)), late]);
  clearTimeout(timer);
  stop.abort();
  const problem = first ?? second;
  if (problem !== undefined && !lost.aborted) throw problem;
}
