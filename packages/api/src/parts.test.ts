import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeMessage } from "./caller.ts";
import { ContainerCreate } from "./gen/containerd/events/container.ts";
import { ReadContentResponse, WriteContentRequest } from "./gen/containerd/services/content/v1/content.ts";
import { encodeParts } from "./parts.ts";
import type { MessageCodec } from "./rpc.ts";

const codecOf = (codec: unknown) => codec as MessageCodec<unknown>;

test("parts are the message that is encoded whole, and large bytes are the caller's own", () => {
  const sizes = fc.constantFrom(0, 1, 4095, 4096, 100_000);
  const text = fc.string({ maxLength: 200 });
  fc.assert(
    fc.property(sizes, text, fc.bigInt({ min: 0n, max: 1n << 62n }), (size, ref, offset) => {
      const data = new Uint8Array(size).fill(7);
      const messages: [unknown, object][] = [
        [ReadContentResponse, { offset, data }],
        // A field follows.
        [WriteContentRequest, { ref, offset, data, labels: { [ref]: ref } }],
        // Bytes inside another message.
        [ContainerCreate, { id: ref, runtime: { name: ref, options: { typeUrl: ref, value: data } } }],
      ];
      for (const [codec, message] of messages) {
        const parts = encodeParts(codecOf(codec), message);
        expect(Buffer.concat(parts).equals(encodeMessage(codecOf(codec), message))).toBe(true);
        if (size >= 4096 && codec !== ContainerCreate) expect(parts).toContain(data);
      }
    }),
  );
});
