import { invalidArgument } from "@hull/errors";

/** Bytes of a field whose length follows from the two bits that say so. */
const dictionaryIdSizes = [0, 1, 2, 4];
const contentSizeSizes = [0, 2, 4, 8];

/**
 * Follows the frames of a zstd stream, without decompressing, to tell whether it ends where a frame ends: the decompressor
 * itself takes a stream that is cut off for one that pauses.
 *
 * Format: RFC 8878, section 3.1: magic, frame header, blocks of which the last is marked, checksum; or a skippable frame.
 */
export class ZstdFrames {
  readonly #field = new Uint8Array(18);
  #filled = 0;
  #needed = 4;
  #reading: "magic" | "descriptor" | "header" | "block" | "skippable" = "magic";
  #skip = 0;
  #checksum = false;
  #last = false;

  /** True between two frames. */
  get complete(): boolean {
    return this.#reading === "magic" && this.#filled === 0 && this.#skip === 0;
  }

  /** Takes the next bytes. @throws invalidArgument for what is no frame */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#field[this.#filled++] = bytes[at++] ?? 0;
      if (this.#filled === this.#needed) this.#take();
    }
  }

  #expect(reading: "magic" | "descriptor" | "header" | "block" | "skippable", needed: number): void {
    this.#reading = reading;
    this.#needed = needed;
  }

  #take(): void {
    this.#filled = 0;
    switch (this.#reading) {
      case "magic": {
        const magic = this.#number(4);
        if (magic === 0xfd2fb528) this.#expect("descriptor", 1);
        else if (magic >>> 4 === 0x184d2a5) this.#expect("skippable", 4);
        else throw invalidArgument("zstd data is damaged: a frame begins with a wrong number");
        return;
      }
      case "skippable":
        this.#skip = this.#number(4);
        this.#expect("magic", 4);
        return;
      case "descriptor": {
        const descriptor = this.#number(1);
        const single = (descriptor & 0x20) !== 0;
        this.#checksum = (descriptor & 0x04) !== 0;
        const contentSize = contentSizeSizes[descriptor >> 6] || (single ? 1 : 0);
        const rest = (single ? 0 : 1) + (dictionaryIdSizes[descriptor & 3] ?? 0) + contentSize;
        if (rest === 0) this.#expect("block", 3);
        else this.#expect("header", rest);
        return;
      }
      case "header":
        this.#expect("block", 3);
        return;
      case "block": {
        const header = this.#number(3);
        this.#last = (header & 1) !== 0;
        const isRepeated = ((header >> 1) & 3) === 1;
        this.#skip = (isRepeated ? 1 : header >> 3) + (this.#last && this.#checksum ? 4 : 0);
        if (this.#last) this.#expect("magic", 4);
        return;
      }
    }
  }

  #number(length: number): number {
    let value = 0;
    for (let index = length - 1; index >= 0; index--) value = value * 256 + (this.#field[index] ?? 0);
    return value;
  }
}
