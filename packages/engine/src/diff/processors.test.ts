import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { contextFor } from "../context.ts";
import { UnpackerApplier } from "./apply.ts";
import { parseStreamProcessors, processorsFor, type StreamProcessor } from "./processors.ts";
import { Bench, bind, layerOf, unpackerCommand } from "./testing.ts";

const root = process.getuid?.() === 0;
const plain = "application/vnd.oci.image.layer.v1.tar";

const shell = (id: string, accepts: string, returns: string, script: string): StreamProcessor => ({
  id,
  accepts: [accepts],
  returns,
  path: "/bin/sh",
  args: ["-c", script],
  env: ["OWN=value=1"],
});

/** Applies a layer of a type through processors. */
async function apply(bench: Bench, mediaType: string, processors: readonly StreamProcessor[], bytes: Uint8Array) {
  const target = bench.directory();
  writeFileSync(join(bench.path, "blob"), bytes);
  const applier = new UnpackerApplier({
    command: unpackerCommand,
    content: { path: async () => join(bench.path, "blob") },
    temporary: bench.path,
    processors,
  });
  const payloads = { second: { typeUrl: "types/key", value: Buffer.from("the key") } };
  const applied = await applier.apply(contextFor("test"), { mediaType, digest: "sha256:0", size: 0 }, bind(target), {
    payloads,
  });
  return { target, applied };
}

/** This process's, by pid. */
const children = (): string[] =>
  readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[3] === String(process.pid);
    } catch {
      return false;
    }
  });

describe("stream processors", () => {
  test("are told by media type, the last of the configuration first", () => {
    const [a, b, c] = [shell("a", "x", "y", ""), shell("b", "y", `${plain}+gzip`, ""), shell("c", "x", plain, "")];
    const ids = (type: string, all: StreamProcessor[]) =>
      processorsFor(type, all).map(({ processor, given }) => `${processor.id}(${given})`);
    expect(ids("x", [a, b])).toEqual(["a(x)", "b(y)"]);
    expect(ids("x", [a, b, c])).toEqual(["c(x)"]);
    expect(ids(`${plain}+zstd`, [a, b, c])).toEqual([]);
    expect(() => ids("x", [a])).toThrow("failed to get stream processor for x: no processor for media-type");
    expect(() => ids("x", [a, shell("d", "y", "x", "")])).toThrow("go in circles");
  });

  test("of a configuration have to be whole", () => {
    const good = { accepts: ["x"], returns: "y", path: "/bin/cat" };
    expect(parseStreamProcessors({ one: good })).toEqual([{ id: "one", args: [], env: [], ...good }]);
    expect(() => parseStreamProcessors({ one: 5 })).toThrow('[stream_processors."one"] must be a table');
    expect(() => parseStreamProcessors({ one: { ...good, path: "" } })).toThrow('key "path" is missing');
    expect(() => parseStreamProcessors({ one: { ...good, pth: "" } })).toThrow('there is no key "pth"');
    expect(() => parseStreamProcessors({ one: { ...good, args: 1 } })).toThrow('"args" must be a list of strings');
  });

  test.skipIf(!root)("decode layers, one behind the other, with payload and type (needs root)", async () => {
    using bench = new Bench();
    const layer = layerOf({ name: "file", content: "decoded".repeat(100_000) });
    const note = join(bench.path, "note");
    const processors = [
      shell("first", `${plain}+gzip+encrypted`, "application/x-half", "exec tr a-z b-za"),
      shell(
        "second",
        "application/x-half",
        plain,
        `cat <&3 >${note}; echo "$STREAM_PROCESSOR_MEDIATYPE $OWN" >${note}.env; exec tr b-za a-z`,
      ),
    ];
    const { target, applied } = await apply(bench, `${plain}+gzip+encrypted`, processors, layer);
    expect(applied.mediaType).toBe(plain);
    expect(readFileSync(join(target, "file"), "utf8")).toBe("decoded".repeat(100_000));
    expect(Any.decode(readFileSync(note))).toMatchObject({ typeUrl: "types/key", value: Buffer.from("the key") });
    expect(readFileSync(`${note}.env`, "utf8")).toBe("application/x-half value=1\n");
  });

  test.skipIf(!root)("that fail say why, and nothing is left running (needs root)", async () => {
    using bench = new Bench();
    const before = children();
    const layer = layerOf({ name: "file", content: "x" });
    const failing = shell("broken", "x", plain, "head -c 100; echo no key for this >&2; exit 3");
    await expect(apply(bench, "x", [failing], layer)).rejects.toThrow('stream processor "broken": no key for this');
    const missing = { ...failing, path: "/nonexistent/program" };
    await expect(apply(bench, "x", [missing], layer)).rejects.toThrow('stream processor "broken" can\'t be started');
    expect(children().filter((pid) => !before.includes(pid))).toEqual([]);
  });
});
