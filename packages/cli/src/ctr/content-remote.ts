import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import { pullImage } from "@hull/client/transfer";
import type { Registry } from "@hull/engine/registry/index";
import { alreadyExists } from "@hull/errors";
import type { Descriptor } from "@hull/oci/descriptor";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import type { FlagValues, Host } from "../command/index.ts";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { checkDigest } from "./content.ts";
import { CtrError } from "./errors.ts";
import type { contentFetch, contentFetchBlob, registryFlags } from "./flags.ts";
import { parseLabels } from "./labels.ts";
import { ownRegistry, registryOptions } from "./registry-options.ts";
import { TransferDisplay } from "./transfer-display.ts";

/** Brings all of an image into the daemon's store and records it, without unpacking it. */
export const fetchContent: CtrAction<typeof contentFetch> = async ({
  flags,
  args: [reference = ""],
  globals,
  host,
}) => {
  if (reference === "") throw new CtrError('failed to resolve reference "": hostname required');
  const platforms = flags.platform.map((text) => parsePlatform(text));
  return await withClient(globals, async (client) => {
    using registry = registryOptions(flags, host);
    using display = new TransferDisplay(host);
    await pullImage(client, reference, {
      ...registry,
      labels: parseLabels(flags.label),
      platforms: flags["all-platforms"] ? [] : platforms.length > 0 ? platforms : [hostPlatform()],
      allMetadata: flags["metadata-only"] || !flags["skip-metadata"],
      metadataOnly: flags["metadata-only"],
      onProgress: (progress) => display.show(progress),
    });
    display.finish();
    return 0;
  });
};

/** Prints what a registry calls by a reference, a manifest as a rule. */
export const fetchObject: CtrAction<typeof registryFlags> = ({ flags, args: [reference = ""], host }) => {
  if (reference === "") throw new CtrError("hostname required");
  return withRegistry(flags, host, async (registry, signal) => {
    const { descriptor } = await registry.resolve(reference, signal);
    await print(registry, reference, descriptor, host, signal);
  });
};

/** Prints blobs of a repository. */
export const fetchBlob: CtrAction<typeof contentFetchBlob> = ({ flags, args: [reference = "", ...digests], host }) => {
  if (digests.length === 0) throw new CtrError("must specify digests");
  for (const digest of digests) checkDigest(digest);
  return withRegistry(flags, host, async (registry, signal) => {
    for (const digest of digests) {
      const { descriptor } = await registry.resolve(`${withoutObject(reference)}@${digest}`, signal, "blob");
      const mediaType = flags["media-type"] ?? descriptor.mediaType;
      await print(registry, reference, { ...descriptor, mediaType }, host, signal);
    }
  });
};

/** Sends a blob of the daemon's store to a repository. */
export const pushObject: CtrAction<typeof registryFlags> = async ({ flags, args, globals, host }) => {
  const [reference = "", digest = "", mediaType = ""] = args;
  checkDigest(digest);
  return await withClient(globals, async (client) => {
    const content = client.service(ContentDefinition);
    const { info } = await content.info({ digest });
    const size = Number(info?.size ?? 0n);
    const descriptor: Descriptor = { mediaType, digest, size };
    return await withRegistry(flags, host, async (registry, signal) => {
      const result = await registry.push(reference, descriptor, {
        async read(offset, length) {
          const chunks: Uint8Array[] = [];
          const answers = content.read({
            digest,
            offset: BigInt(offset),
            size: BigInt(Math.min(length, size - offset)),
          });
          for await (const { data } of answers) chunks.push(data);
          return Buffer.concat(chunks);
        },
        signal,
      });
      if (result === "exists") throw alreadyExists(`content ${digest} on remote`);
      await host.out(`Pushed ${digest} ${mediaType}\n`);
    });
  });
};

async function withRegistry(
  flags: FlagValues<typeof registryFlags>,
  host: Host,
  work: (registry: Registry, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  using options = registryOptions(flags, host);
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.once("SIGINT", stop);
  try {
    await work(ownRegistry(options, host), interrupt.signal);
    return 0;
  } finally {
    process.off("SIGINT", stop);
  }
}

async function print(
  registry: Registry,
  reference: string,
  descriptor: Descriptor,
  host: Host,
  signal: AbortSignal,
): Promise<void> {
  for await (const bytes of await registry.fetch(reference, descriptor, { signal })) await host.out(bytes);
}

/** A reference without its tag and digest. */
const withoutObject = (reference: string): string => reference.replace(/@.*$/, "").replace(/:[^/:]+$/, "");
