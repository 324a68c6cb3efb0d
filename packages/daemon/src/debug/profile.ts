import { Profile } from "@hull/api/gen/perftools/profiles/profile";

/** A place in a program. */
export interface Place {
  readonly name: string;
  readonly file?: string;
  /** From 1 on. */
  readonly line?: number;
}

/** What a number means: `["inuse_space", "bytes"]`. */
export type ValueKind = readonly [type: string, unit: string];

/** Puts a profile together for `go tool pprof`: every text, place and function once. */
export class ProfileBuilder {
  readonly #texts = new Map([["", 0]]);
  readonly #functions = new Map<string, Profile["function"][number]>();
  readonly #locations = new Map<string, Profile["location"][number]>();
  readonly #samples: Profile["sample"] = [];
  readonly #kinds: readonly ValueKind[];

  constructor(kinds: readonly ValueKind[]) {
    this.#kinds = kinds;
  }

  /** So much was seen at a stack, its innermost place first. */
  add(stack: readonly Place[], values: readonly number[]): void {
    this.#samples.push({
      locationId: stack.map((place) => this.#location(place)),
      value: values.map((value) => BigInt(Math.round(value))),
    });
  }

  /** The profile, gzipped as Go's are. `period` is what lies between two things that were counted. */
  finish(
    options: { durationMs?: number; period?: { kind: ValueKind; value: number }; comment?: string } = {},
  ): Uint8Array<ArrayBuffer> {
    const { durationMs = 0, period, comment } = options;
    const message = Profile.fromPartial({
      sampleType: this.#kinds.map((kind) => this.#kind(kind)),
      sample: this.#samples,
      location: [...this.#locations.values()],
      function: [...this.#functions.values()],
      timeNanos: BigInt(Date.now()) * 1_000_000n,
      durationNanos: BigInt(Math.round(durationMs * 1e6)),
      periodType: period === undefined ? undefined : this.#kind(period.kind),
      period: BigInt(period?.value ?? 0),
      comment: comment === undefined ? [] : [this.#text(comment)],
    });
    // Last, since what is above adds to it.
    message.stringTable = [...this.#texts.keys()];
    return Bun.gzipSync(Profile.encode(message).finish() as Uint8Array<ArrayBuffer>);
  }

  #kind([type, unit]: ValueKind): { type: bigint; unit: bigint } {
    return { type: this.#text(type), unit: this.#text(unit) };
  }

  #text(text: string): bigint {
    const known = this.#texts.get(text) ?? this.#texts.size;
    this.#texts.set(text, known);
    return BigInt(known);
  }

  #location(place: Place): bigint {
    const { name, file = "", line = 0 } = place;
    const key = `${line}\0${file}\0${name}`;
    const known = this.#locations.get(key);
    if (known !== undefined) return known.id;
    const id = BigInt(this.#locations.size + 1);
    this.#locations.set(key, { id, line: [{ functionId: this.#function(name, file), line: BigInt(line) }] });
    return id;
  }

  #function(name: string, file: string): bigint {
    const key = `${file}\0${name}`;
    const known = this.#functions.get(key);
    if (known !== undefined) return known.id;
    const id = BigInt(this.#functions.size + 1);
    const text = this.#text(name);
    this.#functions.set(key, { id, name: text, systemName: text, filename: this.#text(file), startLine: 0n });
    return id;
  }
}
