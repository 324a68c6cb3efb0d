import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attachment } from "./cni.ts";
import type { Network } from "./network.ts";

/** What is kept of an attachment, as libcni writes it: `cniCacheV1`. */
export interface Cached {
  readonly kind: "cniCacheV1";
  readonly containerId: string;
  /** The network's configuration, in base64. */
  readonly config: string;
  readonly ifName: string;
  readonly networkName: string;
  readonly netns?: string;
  readonly cniArgs?: readonly (readonly [string, string])[];
  readonly capabilityArgs?: Readonly<Record<string, unknown>>;
  readonly result: unknown;
}

/** Results of attachments, a file for each: `<directory>/results/<network>-<container>-<interface>`. */
export class ResultCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = join(directory, "results");
  }

  #path(network: Network, { containerId, interfaceName }: Attachment): string {
    return join(this.#directory, `${network.name}-${containerId}-${interfaceName}`);
  }

  write(network: Network, attachment: Attachment, result: unknown): void {
    const { containerId, interfaceName, netns, args, capabilities } = attachment;
    const cached: Cached = {
      kind: "cniCacheV1",
      containerId,
      config: Buffer.from(network.text).toString("base64"),
      ifName: interfaceName,
      networkName: network.name,
      netns,
      ...(args === undefined ? {} : { cniArgs: args }),
      ...(capabilities === undefined ? {} : { capabilityArgs: capabilities }),
      result,
    };
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path(network, attachment);
    writeFileSync(`${path}.tmp`, JSON.stringify(cached), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  }

  /** Undefined if nothing is there, or nothing that can be read. */
  read(network: Network, attachment: Attachment): Cached | undefined {
    return readCached(this.#path(network, attachment));
  }

  /** All that are kept, or those of one container. Files that can't be read are none. */
  list(containerId?: string): Cached[] {
    let files: string[];
    try {
      files = readdirSync(this.#directory);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
    // A name may hold another's id as well: the file says whose it is.
    return files
      .filter((file) => !file.endsWith(".tmp") && file.includes(`-${containerId ?? ""}`))
      .flatMap((file) => readCached(join(this.#directory, file)) ?? [])
      .filter((cached) => containerId === undefined || cached.containerId === containerId);
  }

  remove(network: Network, attachment: Attachment): void {
    rmSync(this.#path(network, attachment), { force: true });
  }
}

function readCached(path: string): Cached | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isCached(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isCached(value: unknown): value is Cached {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "cniCacheV1";
}
