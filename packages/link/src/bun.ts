import type { ByteLink, KeyPair, LinkListener, LinkReceiver, LinkTarget, ListenTarget, Peer } from "./index.ts";

/** What this file uses of Bun's socket; its types leave out `fd`, which 1.4 has. */
interface Socket {
  readonly fd?: number;
  /** Bytes taken, -1 if the socket is closed. */
  write(bytes: Uint8Array): number;
  end(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  ref(): void;
  unref(): void;
}

/** Connects; rejects with an error as Node's own sockets give it if nobody answers. */
export async function connect(target: LinkTarget): Promise<ByteLink> {
  const link = new BunLink();
  const socket = handlersOf(() => link);
  try {
    if ("path" in target) await Bun.connect({ unix: target.path, socket });
    // Bun's types leave out `fd`.
    else if ("fd" in target) await Bun.connect({ ...(target as unknown as { unix: string }), socket });
    else await Bun.connect({ hostname: target.host, port: target.port, socket });
  } catch (cause) {
    throw connectError(target, cause);
  }
  return link;
}

/** Bun's own error doesn't say in its text what was wrong. */
function connectError(target: LinkTarget, cause: unknown): unknown {
  if (!(cause instanceof Error && "code" in cause)) return cause;
  const place =
    "path" in target ? target.path : "fd" in target ? `descriptor ${target.fd}` : `${target.host}:${target.port}`;
  return Object.assign(new Error(`connect ${cause.code} ${place}`, { cause }), { code: cause.code });
}

/** Listens; throws the runtime's error if that can't be. */
export async function listen(
  target: ListenTarget,
  onLink: (link: ByteLink, peer: Peer) => void,
): Promise<LinkListener> {
  const links = new WeakMap<Socket, BunLink>();
  const handlers = handlersOf((socket) => {
    const link = links.get(socket) ?? new BunLink();
    links.set(socket, link);
    return link;
  }, onLink);
  const listener = Bun.listen({ ...placeOf(target), socket: handlers });
  // Its types tell the port of one kind of listener only.
  const { port = 0 } = listener as { port?: number };
  return { port, stop: () => listener.stop(false) };
}

/** Bun's types leave out `fd`. */
function placeOf(target: ListenTarget): { unix: string } {
  const place: object = "path" in target ? { unix: target.path } : "fd" in target ? target : tcp(target);
  return place as { unix: string };
}

const tcp = ({ host, port, tls }: { host: string; port: number; tls?: KeyPair }): object => ({
  ...{ hostname: host, port },
  ...(tls && { tls }),
});

interface Handlers {
  open(socket: Socket): void;
  data(socket: Socket, chunk: Uint8Array): void;
  drain(socket: Socket): void;
  close(socket: Socket): void;
  error(socket: Socket, error: Error): void;
}

function handlersOf(linkOf: (socket: Socket) => BunLink, onOpen?: (link: ByteLink, peer: Peer) => void): Handlers {
  return {
    open: (socket) => {
      const link = linkOf(socket);
      link.opened(socket);
      onOpen?.(link, { fd: socket.fd ?? -1 });
    },
    data: (socket, chunk) => linkOf(socket).received(chunk),
    drain: (socket) => linkOf(socket).flush(),
    close: (socket) => linkOf(socket).ended(),
    error: (socket, error) => linkOf(socket).failed(error),
  };
}

/** Bun's socket takes what the kernel takes, at once; the rest waits here for `drain`. */
class BunLink implements ByteLink {
  #socket: Socket | undefined;
  #receiver: LinkReceiver | undefined;
  /** What came before `start`: the socket may have data with its first event. */
  #early: Uint8Array[] = [];
  #waiting: Uint8Array[] = [];
  #drained: (() => void)[] = [];
  #cause: unknown;
  #closing = false;
  #closed = false;

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) receiver.data(chunk);
    if (this.#closed) queueMicrotask(() => receiver.closed(this.#cause));
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (this.#waiting.length === 0) {
      const taken = this.#socket?.write(bytes) ?? 0;
      if (taken === bytes.length || taken < 0) return true;
      this.#waiting.push(bytes.subarray(taken));
    } else {
      this.#waiting.push(bytes);
    }
    return false;
  }

  writeLent(bytes: Uint8Array): boolean {
    return this.write(bytes);
  }

  drained(): Promise<void> {
    if (this.#closed || this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  keepAlive(wanted: boolean): void {
    if (wanted) this.#socket?.ref();
    else this.#socket?.unref();
  }

  close(): void {
    this.#closing = true;
    if (this.#waiting.length === 0) this.#socket?.end();
  }

  destroy(): void {
    this.#waiting = [];
    this.#release();
    this.#socket?.terminate();
  }

  opened(socket: Socket): void {
    this.#socket = socket;
  }

  received(chunk: Uint8Array): void {
    if (this.#receiver) this.#receiver.data(chunk);
    else this.#early.push(chunk);
  }

  flush(): void {
    while (!this.#closed) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const taken = this.#socket?.write(next) ?? 0;
      if (taken < 0) return;
      if (taken < next.length) {
        this.#waiting[0] = next.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    this.#release();
    if (this.#closing) this.#socket?.end();
  }

  failed(cause: unknown): void {
    this.#cause = cause;
  }

  ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#release();
    this.#receiver?.closed(this.#cause);
  }

  #release(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}
