import { describe, expect, test } from "bun:test";
import { encodeHeader, endOfArchive, paddingAfter, readTar, text } from "./index.ts";

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const file = (name: string, content: string) =>
  Buffer.concat([
    encodeHeader({ name, type: "file", size: content.length }),
    Buffer.from(content),
    paddingAfter(content.length),
  ]);

describe("readTar", () => {
  const archive = Buffer.concat([
    file("one", "1".repeat(1000)),
    file("two", "2".repeat(2000)),
    encodeHeader({ name: "directory", type: "directory" }),
    file("three", "3"),
    endOfArchive,
  ]);

  test("gives members with their bytes; what isn't read, or read in part, is skipped", async () => {
    for (const size of [1, 100, 512, 5000]) {
      const seen: string[] = [];
      for await (const member of readTar(chunks(archive, size))) {
        const name = text(member.name);
        let content = "";
        if (name === "two") {
          for await (const part of member.body) {
            content += text(part);
            break;
          }
          content = content.slice(0, 1);
        } else if (name !== "one") {
          for await (const part of member.body) content += text(part);
        }
        seen.push(`${name}:${content}`);
      }
      expect(seen).toEqual(["one:", "two:2", "directory:", "three:3"]);
    }
  });

  test("closes its source when left early, and passes damage on", async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        yield* chunks(archive, 100);
      } finally {
        closed = true;
      }
    }
    for await (const _ of readTar(source())) break;
    expect(closed).toBe(true);
    const cut = async () => {
      for await (const _ of readTar(chunks(archive.subarray(0, 700), 100)));
    };
    await expect(cut()).rejects.toThrow("cut off");
  });
});
