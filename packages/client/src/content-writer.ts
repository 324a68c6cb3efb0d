import {
  type ContentDefinition,
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponse,
} from "@hull/api/gen/containerd/services/content/v1/content";
import type { PartialOf, ServiceClient } from "@hull/api/rpc";
import { nanosOfTimestamp } from "@hull/api/timestamp";
import { failedPrecondition, unavailable } from "@hull/errors";

type Content = ServiceClient<ContentDefinition>;
type Request = PartialOf<typeof WriteContentRequest>;

/** The most bytes in one message. */
const chunkSize = 1 << 20;

/** What a daemon tells of an ingest. Times are nanoseconds since 1970. */
export interface WriterStatus {
  readonly offset: number;
  readonly total: number;
  readonly startedAt: bigint;
  readonly updatedAt: bigint;
}

/**
 * One ingest of a daemon's content store: a call of Write, a message and its answer at a time.
 *
 *   open (resumes what is there) ──write…──► commit
 *                                   └ close: stays, is resumed by the next
 */
export class ContentWriter implements AsyncDisposable {
  readonly ref: string;
  readonly #requests = new Requests();
  readonly #answers: AsyncIterator<WriteContentResponse>;
  #status: WriterStatus = { offset: 0, total: 0, startedAt: 0n, updatedAt: 0n };
  #digest = "";
  #open = true;

  private constructor(content: Content, ref: string) {
    this.ref = ref;
    this.#answers = content.write(this.#requests)[Symbol.asyncIterator]();
  }

  /** @throws AlreadyExists if `expected` is there; Unavailable if another one writes to the ref */
  static async open(
    content: Content,
    ref: string,
    { total = 0, expected = "" }: { total?: number; expected?: string } = {},
  ): Promise<ContentWriter> {
    const writer = new ContentWriter(content, ref);
    try {
      const answer = await writer.#call({ action: WriteAction.STAT, ref, total: BigInt(total), expected });
      writer.#status = {
        offset: Number(answer.offset),
        total: total > 0 ? total : Number(answer.total),
        startedAt: nanosOfTimestamp(answer.startedAt) ?? 0n,
        updatedAt: nanosOfTimestamp(answer.updatedAt) ?? 0n,
      };
      return writer;
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  get offset(): number {
    return this.#status.offset;
  }

  get status(): WriterStatus {
    return this.#status;
  }

  /** Of the bytes so far. */
  get digest(): string {
    return this.#digest;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += chunkSize) {
      const data = bytes.subarray(at, at + chunkSize);
      await this.#call({ action: WriteAction.WRITE, offset: BigInt(this.offset), data });
    }
  }

  /** Drops what was written. */
  async clear(): Promise<void> {
    if (this.offset > 0) await this.#call({ action: WriteAction.WRITE, offset: 0n });
  }

  /** @throws FailedPrecondition if size or digest differ; AlreadyExists */
  async commit({
    size = this.offset,
    expected = "",
    labels = {},
  }: {
    size?: number;
    expected?: string;
    labels?: Readonly<Record<string, string>>;
  } = {}): Promise<string> {
    const at = { total: BigInt(size), offset: BigInt(this.offset) };
    try {
      const { digest } = await this.#call({ action: WriteAction.COMMIT, ...at, expected, labels: { ...labels } });
      return digest;
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#requests.end();
    // The other side lets go of the ingest when it has seen the end.
    while (!(await this.#answers.next().catch(() => ({ done: true }))).done);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call(request: Request): Promise<WriteContentResponse> {
    if (!this.#open) throw failedPrecondition(`the writer of ref "${this.ref}" is closed: open the ref again`);
    this.#requests.push(request);
    const { done, value } = await this.#answers.next();
    if (done) throw unavailable(`the content store that ingest "${this.ref}" is written to ended the call`);
    const answer: WriteContentResponse = value;
    this.#digest = answer.digest === "" ? this.#digest : answer.digest;
    const updatedAt = BigInt(Date.now()) * 1_000_000n;
    this.#status = { ...this.#status, offset: Number(answer.offset), updatedAt };
    return answer;
  }
}

/** Messages on their way to the other side. */
class Requests implements AsyncIterable<Request> {
  readonly #waiting: Request[] = [];
  #ended = false;
  #wake = (): void => {};

  push(request: Request): void {
    this.#waiting.push(request);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Request, void> {
    for (;;) {
      const request = this.#waiting.shift();
      if (request !== undefined) yield request;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
