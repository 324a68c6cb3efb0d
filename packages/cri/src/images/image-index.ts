import { ImageDelete } from "@hull/api/gen/containerd/events/image";
import type { ContentStore } from "@hull/engine/content/index";
import { type Context, contextFor } from "@hull/engine/context";
import type { EventEnvelope, EventExchange } from "@hull/engine/events/index";
import type { Image, ImageStore } from "@hull/engine/images/index";
import type { Labels } from "@hull/engine/labels";
import type { Logger } from "@hull/engine/log";
import { KeyedLock } from "@hull/engine/runtime/keyed-lock";
import { HullError, isCode, unknown } from "@hull/errors";
import type { Descriptor, Platform } from "@hull/oci/descriptor";
import { isDigest } from "@hull/oci/digest";
import { criNamespace, type LocalImage } from "../model.ts";
import { type ImageContent, readImage } from "./read-image.ts";
import { ensureRecord, recordOf } from "./records.ts";
import { recordName, repositoryNames } from "./references.ts";

/** Marks records that the CRI knows, and those that the kubelet must not collect (containerd's labels). */
export const managedLabel = "io.cri-containerd.image";
export const pinnedLabel = "io.cri-containerd.pinned";
export const managed = "managed";
export const pinned = "pinned";

/** An image with what its records say. */
export interface IndexedImage extends LocalImage {
  readonly target: Descriptor;
  readonly platform: Platform;
  /** Names of all its records, its id among them; the order is that in which they are removed. */
  readonly names: readonly string[];
}

export interface ImageIndexOptions {
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly events: EventExchange;
  /** What an image may be for, the preferred one first. */
  readonly platforms: readonly Platform[];
  /** What a record of this name has to be labelled with. */
  readonly labelsOf: (name: string) => Labels;
  readonly log: Logger;
}

interface Entry {
  readonly content: ImageContent;
  /** What the newest of its records leads to, and all that any has led to: manifests of the one config, or indexes of them. */
  target: Descriptor;
  readonly targets: Set<string>;
  readonly names: Set<string>;
  readonly pinned: Set<string>;
  /** As it is shown; made anew after a change. */
  shown: IndexedImage | undefined;
}

/**
 * The images of namespace `k8s.io` in memory, by id and by the names of their records.
 *
 *   load ──► every record read ──follow──► each that any client makes, changes or deletes is read again
 *
 * An image is here as long as one record leads to it. A record that another client made is labelled as managed, and the image gets a record by
 * its id, so that it stays when its tag moves on.
 */
export class ImageIndex implements Disposable {
  readonly #options: ImageIndexOptions;
  readonly #ctx: Context = contextFor(criNamespace);
  readonly #ids = new Map<string, string>();
  readonly #entries = new Map<string, Entry>();
  /** Entries by the digests of their targets. */
  readonly #targets = new Map<string, Entry>();
  readonly #locks = new KeyedLock();
  #stop: (() => void) | undefined;

  constructor(options: ImageIndexOptions) {
    this.#options = options;
  }

  /** Reads all records, and follows their changes from before that. What can't be read is told of and left out. */
  async load(): Promise<void> {
    this.#stop ??= this.#options.events.observe((envelope) => this.#observe(envelope));
    for (const { name } of await this.#options.images.list(this.#ctx)) await this.#follow(name);
    // Between a pull's first record and the one by id the daemon may have ended.
    for (const [id, { names, target }] of this.#entries)
      if (!names.has(id)) await this.#record(id, target, this.#options.labelsOf(id));
  }

  [Symbol.dispose](): void {
    this.#stop?.();
  }

  list(): IndexedImage[] {
    return [...this.#entries].map(([id, entry]) => imageOf(id, entry));
  }

  /** By id, the beginning of one, tag or digest. @throws Unknown if it is the beginning of several ids */
  find(reference: string): IndexedImage | undefined {
    const id = this.#idOf(reference);
    const entry = id === undefined ? undefined : this.#entries.get(id);
    return id === undefined || entry === undefined ? undefined : imageOf(id, entry);
  }

  /**
   * Makes the index say what the record says now.
   * @throws as readImage; the name then leads nowhere
   */
  async refresh(name: string): Promise<void> {
    await this.#locks.run(name, async () => {
      const image = await recordOf(this.#ctx, this.#options.images, name);
      if (image === undefined) {
        this.#forget(name);
        return;
      }
      const content = await this.#content(name, image.target);
      await this.#label(image, content.id);
      const isPinned = { ...image.labels, ...this.#options.labelsOf(name) }[pinnedLabel] === pinned;
      this.#put(name, { content, target: image.target, isPinned });
    });
  }

  #observe({ namespace, topic, event }: EventEnvelope): void {
    if (namespace !== criNamespace || !topic.startsWith("/images/")) return;
    // The name is the first field of all three events.
    void this.#follow(ImageDelete.decode(event.value).name);
  }

  async #follow(name: string): Promise<void> {
    try {
      await this.refresh(name);
    } catch (thrown) {
      const error = HullError.from(thrown).message;
      this.#options.log.log("warn", "An image can't be used by pods", { name, error });
    }
  }

  /** What is known of the target, or is read now. */
  async #content(name: string, target: Descriptor): Promise<ImageContent> {
    const { content, platforms } = this.#options;
    const id = isDigest(name) ? name : undefined;
    const known = this.#known(id, target);
    if (known !== undefined) return known.content;
    try {
      return await readImage(this.#ctx, content, target, platforms, id);
    } catch (error) {
      this.#forget(name);
      throw error;
    }
  }

  /** Of several platforms, more may have come since. */
  #known(id: string | undefined, { digest }: Descriptor): Entry | undefined {
    const found = id === undefined ? this.#targets.get(digest) : this.#entries.get(id);
    return (id !== undefined || this.#options.platforms.length === 1) && found?.targets.has(digest) ? found : undefined;
  }

  async #label({ name, labels, target }: Image, id: string): Promise<void> {
    const wanted = this.#options.labelsOf(name);
    if (Object.entries(wanted).every(([key, value]) => labels[key] === value)) return;
    if (name !== id) await this.#record(id, target, wanted);
    try {
      const keys = Object.keys(wanted).map((key) => `labels.${key}`);
      await this.#options.images.update(this.#ctx, { name, target, labels: wanted }, keys);
    } catch (error) {
      // Deleted meanwhile: the next event tells.
      if (!isCode(error, "notFound")) throw error;
    }
  }

  async #record(id: string, target: Descriptor, labels: Labels): Promise<void> {
    await ensureRecord(this.#ctx, this.#options.images, { name: id, target, labels });
    if (this.#ids.get(id) !== id) await this.refresh(id);
  }

  #put(name: string, { content, target, isPinned }: { content: ImageContent; target: Descriptor; isPinned: boolean }) {
    if (this.#ids.get(name) !== content.id) this.#forget(name);
    const entry = this.#entries.get(content.id) ?? newEntry(content, target);
    this.#entries.set(content.id, entry);
    this.#ids.set(name, content.id);
    entry.target = target;
    entry.targets.add(target.digest);
    this.#targets.set(target.digest, entry);
    entry.shown = undefined;
    entry.names.add(name);
    if (isPinned) entry.pinned.add(name);
    else entry.pinned.delete(name);
  }

  #forget(name: string): void {
    const id = this.#ids.get(name);
    this.#ids.delete(name);
    const entry = this.#entries.get(id ?? "");
    if (id === undefined || entry === undefined) return;
    entry.shown = undefined;
    entry.names.delete(name);
    entry.pinned.delete(name);
    if (entry.names.size > 0) return;
    this.#entries.delete(id);
    for (const digest of entry.targets) this.#targets.delete(digest);
  }

  #idOf(reference: string): string | undefined {
    if (isDigest(reference)) return reference;
    const name = recordName(reference);
    return (
      (name === undefined ? undefined : this.#ids.get(name)) ?? this.#ids.get(reference) ?? this.#prefix(reference)
    );
  }

  /** The id whose digits begin so, with or without the algorithm. */
  #prefix(text: string): string | undefined {
    const [, algorithm = "", digits = ""] = /^(?:([a-z0-9]+):)?([0-9a-f]+)$/.exec(text) ?? [];
    if (digits === "") return undefined;
    const found = [...this.#entries.keys()].filter((id) => {
      const colon = id.indexOf(":");
      return id.startsWith(digits, colon + 1) && (algorithm === "" || id.slice(0, colon) === algorithm);
    });
    if (found.length > 1) throw unknown("ambiguous digest string");
    return found[0];
  }
}

function newEntry(content: ImageContent, target: Descriptor): Entry {
  return { content, target, targets: new Set(), names: new Set(), pinned: new Set(), shown: undefined };
}

function imageOf(id: string, entry: Entry): IndexedImage {
  entry.shown ??= shownOf(id, entry);
  return entry.shown;
}

function shownOf(id: string, { content, target, names, pinned }: Entry): IndexedImage {
  const { tags, digests } = repositoryNames(names);
  const { size, config, chainId, platform, checkpoint } = content;
  const ordered = [...names].sort((a, b) => Number(a === id) - Number(b === id));
  const image = { id, tags, digests, size, config, chainId, platform, target, pinned: pinned.size > 0, names: ordered };
  return checkpoint === undefined ? image : { ...image, checkpoint };
}
