import {
  ContainerAttributes,
  ContainerStats,
  FilesystemIdentifier,
  FilesystemUsage,
  ListContainerStatsResponse,
} from "@hull/api/gen/cri/v1/cri";
import type { MessageCodec, PartialOf } from "@hull/api/rpc";
import { encodedInSteps, pagesOf } from "@hull/api/steps";
import { Writer } from "@hull/api/writer";

/** What `encode` of a codec writes to. */
type Output = NonNullable<Parameters<typeof ContainerStats.encode>[1]>;

const attributesOf = encodedOnce(ContainerAttributes, 1);
const fileSystemOf = encodedOnce(FilesystemIdentifier, 2);

/**
 * The answer that lists what containers use. Most of its bytes say whose use it is, and are the same every time: what is the same object
 * as before (`Stats` gives such ones) isn't encoded again.
 */
export function encodedStats(stats: readonly ContainerStats[]): Promise<PartialOf<typeof ListContainerStatsResponse>> {
  const codec = { ...ListContainerStatsResponse, encode: encodeList };
  return encodedInSteps(
    codec,
    pagesOf(stats).map((page) => ({ stats: page })),
  );
}

function encodeList({ stats }: ListContainerStatsResponse, writer: Output = new Writer()): Output {
  for (const one of stats) {
    writer.uint32(0x0a).fork();
    encodeStats(one, writer);
    writer.join();
  }
  return writer;
}

function encodeStats({ attributes, cpu, memory, writableLayer, swap, io }: ContainerStats, writer: Output): void {
  if (attributes !== undefined) writer.raw(attributesOf(attributes));
  ContainerStats.encode({ attributes: undefined, cpu, memory, writableLayer: undefined, swap, io }, writer);
  if (writableLayer === undefined) return;
  const { timestamp, fsId, usedBytes, inodesUsed } = writableLayer;
  writer.uint32(0x22).fork();
  FilesystemUsage.encode({ timestamp, fsId: undefined, usedBytes, inodesUsed }, writer);
  if (fsId !== undefined) writer.raw(fileSystemOf(fsId));
  writer.join();
}

/** Gives the bytes of field `number` with a message in it. */
function encodedOnce<T extends object>(codec: MessageCodec<T>, number: number): (message: T) => Uint8Array {
  const known = new WeakMap<T, Uint8Array>();
  return (message) => {
    const before = known.get(message);
    if (before !== undefined) return before;
    const bytes = new Writer()
      .uint32((number << 3) | 2)
      .bytes(codec.encode(message).finish())
      .finish();
    known.set(message, bytes);
    return bytes;
  };
}
