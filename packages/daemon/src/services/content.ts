import {
  ContentDefinition,
  type Info as WireInfo,
  type Status as WireStatus,
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponse,
} from "@hull/api/gen/containerd/services/content/v1/content";
import { timestampOfNanos, zeroTime } from "@hull/api/timestamp";
import type { ContentInfo, ContentStore, ContentWriter, IngestStatus } from "@hull/engine/content/index";
import type { Context } from "@hull/engine/context";
import { alreadyExists, HullError, invalidArgument, isCode, outOfRange } from "@hull/errors";
import { type Service, service } from "../server/service.ts";
import { contextOf, need, toSafe } from "./wire.ts";

/** Infos in one message of a list. */
const batch = 100;

export const contentService = (content: ContentStore): Service =>
  service(ContentDefinition, {
    async info({ digest }, call) {
      return { info: toWireInfo(await content.info(contextOf(call), digest)) };
    },
    async update(request, call) {
      const { digest, labels } = need(request.info, "info");
      return { info: toWireInfo(await content.update(contextOf(call), digest, labels, request.updateMask)) };
    },
    async *list({ filters }, call) {
      let info: WireInfo[] = [];
      for await (const found of content.walk(contextOf(call), filters)) {
        if (info.push(toWireInfo(found)) < batch) continue;
        yield { info };
        info = [];
      }
      if (info.length > 0) yield { info };
    },
    async delete({ digest }, call) {
      await content.delete(contextOf(call), digest);
      return {};
    },
    async *read({ digest, offset, size }, call) {
      const range = {
        offset: Math.max(0, toSafe(offset, "offset")),
        // No size means to the end.
        size: size > 0n ? toSafe(size, "size") : undefined,
      };
      // Counts from where this read began, not from the blob's start: containerd's clients expect that.
      let sent = 0n;
      for await (const data of content.read(contextOf(call), digest, range)) {
        yield { offset: sent, data };
        sent += BigInt(data.length);
      }
    },
    async status({ ref }, call) {
      try {
        return { status: toWireStatus(await content.status(contextOf(call), ref)) };
      } catch (error) {
        const { code, message } = HullError.from(error);
        throw new HullError(code, `could not get status for ref "${ref}": ${message}`, { cause: error });
      }
    },
    async listStatuses({ filters }, call) {
      return { statuses: (await content.listStatuses(contextOf(call), filters)).map(toWireStatus) };
    },
    async *write(requests, call) {
      yield* write(content, contextOf(call), requests);
    },
    async abort({ ref }, call) {
      await content.abort(contextOf(call), ref);
      return {};
    },
  });

/** What a client has been told of its ingest. */
type Told = Pick<WriteContentResponse, "startedAt" | "updatedAt" | "total">;

/**
 * One writer from its first message to its commit, or to the end of the requests, which leaves the ingest to be resumed. Every
 * request gets one response.
 */
async function* write(
  content: ContentStore,
  ctx: Context,
  requests: AsyncIterable<WriteContentRequest>,
): AsyncIterable<WriteContentResponse> {
  await using stack = new AsyncDisposableStack();
  let writer: ContentWriter | undefined;
  let total = 0n;
  let expected = "";
  const told: Told = { startedAt: zeroTime(), updatedAt: zeroTime(), total: 0n };
  for await (const request of requests) {
    // What a later message says counts.
    if (request.total > 0n) total = request.total;
    if (request.expected !== "") expected = request.expected;
    if (writer === undefined) {
      if (request.ref === "") throw invalidArgument("first message must have a reference");
      const expectation = { total: toSafe(total, "total"), expected };
      writer = stack.use(await content.writer(ctx, request.ref, expectation));
    } else if (request.expected !== "") {
      await refuseExisting(content, ctx, writer, expected);
    }
    yield await step(writer, request, { total, expected, told });
    if (request.action === WriteAction.COMMIT) return;
  }
}

/** Ends an ingest of a blob that has come to be there in the meantime. */
async function refuseExisting(
  content: ContentStore,
  ctx: Context,
  writer: ContentWriter,
  digest: string,
): Promise<void> {
  try {
    await content.info(ctx, digest);
  } catch (error) {
    if (isCode(error, "notFound")) return;
    throw error;
  }
  await writer.close();
  await content.abort(ctx, writer.ref);
  throw alreadyExists(`blob with expected digest ${digest}`);
}

/** Carries one message out. As containerd does, only a STAT tells times and total, and later answers repeat them. */
async function step(
  writer: ContentWriter,
  { action, offset, data, labels }: WriteContentRequest,
  { total, expected, told }: { total: bigint; expected: string; told: Told },
): Promise<WriteContentResponse> {
  if (action === WriteAction.STAT) {
    const { startedAt, updatedAt, total: known } = writer.status();
    told.startedAt = timestampOfNanos(startedAt);
    told.updatedAt = timestampOfNanos(updatedAt);
    told.total = BigInt(known);
  } else if (action === WriteAction.WRITE || action === WriteAction.COMMIT) {
    await writeAt(writer, offset, data);
  } else {
    return { action, ...told, offset: 0n, digest: "" };
  }
  const at = { offset: BigInt(writer.offset) };
  if (action !== WriteAction.COMMIT) return { action, ...told, ...at, digest: writer.digest() };
  const { digest } = await writer.commit({ size: toSafe(total, "total"), expected, labels });
  return { action, ...told, ...at, digest };
}

async function writeAt(writer: ContentWriter, offset: bigint, data: Uint8Array): Promise<void> {
  if (offset === 0n && writer.offset > 0) await writer.truncate(0);
  // A negative offset means wherever the writer is.
  else if (offset > 0n && offset !== BigInt(writer.offset)) {
    throw outOfRange(`write @${offset} must occur at current offset ${writer.offset}`);
  }
  if (data.length > 0) await writer.write(data);
}

const toWireInfo = ({ digest, size, labels, createdAt, updatedAt }: ContentInfo): WireInfo => ({
  digest,
  size: BigInt(size),
  labels,
  createdAt: timestampOfNanos(createdAt),
  updatedAt: timestampOfNanos(updatedAt),
});

const toWireStatus = ({ ref, offset, total, expected, startedAt, updatedAt }: IngestStatus): WireStatus => ({
  ref,
  offset: BigInt(offset),
  total: BigInt(total),
  expected,
  startedAt: timestampOfNanos(startedAt),
  updatedAt: timestampOfNanos(updatedAt),
});
