/** What a command in a container, or a connection into a pod, is connected to: streams that a client has at its other end. */

/**
 * So many bytes before those that it is given does an output take for its own headers (8 of SPDY, 10 of WebSocket), so that nothing has to
 * be copied.
 */
export const headRoom = 24;

/** Where bytes to the client go. */
export interface Output {
  /**
   * Sends `buffer[from … to)`. The `headRoom` bytes before them are written to; all of them are lent until the result resolves. Without a
   * result they are the caller's again at once, and more may be sent.
   *
   * @throws Canceled if the client has gone, or wants no more of this stream
   */
  send(buffer: Uint8Array, from: number, to: number): Promise<void> | undefined;
  /** Tells the client that nothing more comes. */
  end(): void;
}

/** Bytes from the client. Reading it further takes them from it; what isn't read holds the client back. */
export type Input = AsyncIterable<Uint8Array>;

/** Columns and rows. */
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** The streams of a command; those that weren't asked for are missing. */
export interface CommandStreams {
  readonly stdin?: Input;
  readonly stdout?: Output;
  readonly stderr?: Output;
  readonly resize?: AsyncIterable<TerminalSize>;
}

/** A connection into a pod. */
export interface DuplexStream {
  readonly input: Input;
  readonly output: Output;
}

/** Sends bytes that have no room before them. */
export async function sendAll(output: Output, bytes: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(headRoom + bytes.length);
  buffer.set(bytes, headRoom);
  await output.send(buffer, headRoom, buffer.length);
}
