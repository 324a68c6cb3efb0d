import { ContentDefinition, WriteAction } from "@hull/api/gen/containerd/services/content/v1/content";
import { nanosOfTimestamp, nowNanos, type Timestamp } from "@hull/api/timestamp";
import { readContent } from "@hull/client/content";
import { readShared } from "@hull/client/io/pump";
import { HullError, isCode } from "@hull/errors";
import { formatAge, formatColumns, formatDecimalBytes } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError, withClass } from "./errors.ts";
import type { contentActive, contentIngest, contentList } from "./flags.ts";
import { formatLabels } from "./labels.ts";
import { logLine } from "./log.ts";

const layout = { minWidth: 1, padding: 1, tabs: true };
/** Bytes in one message of a write. */
const chunk = 1024 * 1024;

export const listContent: CtrAction<typeof contentList> = ({ flags, args, globals, host }) =>
  withClient(globals, async (client) => {
    let text = flags.quiet ? "" : "DIGEST\tSIZE\tAGE\tLABELS\n";
    for await (const { info } of client.service(ContentDefinition).list({ filters: [...args] })) {
      for (const { digest, size, createdAt, labels } of info) {
        text += flags.quiet
          ? `${digest}\n`
          : `${digest}\t${formatDecimalBytes(Number(size))}\t${ageOf(createdAt)}\t${formatLabels(labels) || "-"}\n`;
      }
    }
    await host.out(flags.quiet ? text : formatColumns(text, layout));
    return 0;
  });

function ageOf(time: Timestamp | undefined): string {
  return formatAge(Number((nowNanos() - (nanosOfTimestamp(time) ?? 0n)) / 1_000_000n));
}

export const getContent: CtrAction = ({ args: [digest = ""], globals, host }) => {
  checkDigest(digest);
  return withClient(globals, async (client) => {
    for await (const data of readContent(client, digest)) await host.out(data);
    return 0;
  });
};

/** The words of containerd's digest package. @throws CtrError */
export function checkDigest(digest: string): void {
  if (!/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/.test(digest))
    throw new CtrError("invalid checksum digest format");
  const [algorithm = "", encoded = ""] = digest.split(":");
  const length = { sha256: 64, sha384: 96, sha512: 128 }[algorithm];
  if (length === undefined) throw new CtrError("unsupported digest algorithm");
  if (encoded.length !== length) throw new CtrError("invalid checksum digest length");
  if (!/^[a-f0-9]+$/.test(encoded)) throw new CtrError("invalid checksum digest format");
}

export const removeContent: CtrAction = ({ args, globals, host }) =>
  withClient(globals, async (client) => {
    let failed: unknown;
    for (const digest of args) {
      try {
        checkDigest(digest);
        await client.service(ContentDefinition).delete({ digest });
        await host.out(`${digest}\n`);
      } catch (error) {
        if (!isCode(error, "notFound")) failed ??= error;
        const text = error instanceof CtrError ? error.message : withClass(HullError.from(error));
        logLine(host, "error", `could not delete ${digest}`, { error: text });
      }
    }
    if (failed !== undefined) throw failed;
    return 0;
  });

export const ingestContent: CtrAction<typeof contentIngest> = async ({ flags, args: [ref = ""], globals }) => {
  const expected = flags["expected-digest"] ?? "";
  if (expected !== "") checkDigest(expected);
  if (ref === "") throw new CtrError("must specify a transaction reference");
  return await withClient(globals, async (client) => {
    const total = BigInt(flags["expected-size"]);
    async function* requests() {
      yield { action: WriteAction.STAT, ref, total, expected };
      let offset = 0n;
      for await (const data of inChunks(readShared(0, { keepAlive: true }))) {
        yield { action: WriteAction.WRITE, offset, data };
        offset += BigInt(data.length);
      }
      yield { action: WriteAction.COMMIT, ref, offset, total, expected };
    }
    try {
      for await (const _ of client.service(ContentDefinition).write(requests()));
    } catch (error) {
      // The blob is there, which is what was asked for.
      if (isCode(error, "alreadyExists")) return 0;
      const { code, message } = HullError.from(error);
      throw new HullError(code, `failed commit on ref "${ref}": commit failed: ${message}`, { cause: error });
    }
    return 0;
  });
};

async function* inChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const data of source) {
    for (let at = 0; at < data.length; at += chunk) yield data.subarray(at, at + chunk);
  }
}

export const listActive: CtrAction<typeof contentActive> = ({ flags, args: [pattern = ""], globals, host }) =>
  withClient(flags.timeout === 0 ? globals : { ...globals, timeout: flags.timeout }, async (client) => {
    const filters = pattern === "" ? [] : [`ref~=${JSON.stringify(pattern)}`];
    const { statuses } = await client.service(ContentDefinition).listStatuses({ filters });
    const rows = statuses.map(
      ({ ref, offset, startedAt }) => `${ref}\t${formatDecimalBytes(Number(offset))}\t${ageOf(startedAt)}\t\n`,
    );
    await host.out(formatColumns(`REF\tSIZE\tAGE\t\n${rows.join("")}`, layout));
    return 0;
  });
