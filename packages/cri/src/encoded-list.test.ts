import { expect, test } from "bun:test";
import { encodeMessage } from "@hull/api/caller";
import { ListContainersResponse, Container as WireContainer } from "@hull/api/gen/cri/v1/cri";
import fc from "fast-check";
import { EncodedList } from "./encoded-list.ts";

interface Item {
  readonly id: string;
  version: number;
}

const wire = ({ id, version }: Item): WireContainer =>
  WireContainer.fromPartial({ id, labels: { version: String(version) } });

test("a list has the bytes of its message, whatever came, went and changed since the one before", async () => {
  let encoded = 0;
  const list = new EncodedList<Item, typeof ListContainersResponse>({
    codec: ListContainersResponse,
    message: (item) => {
      encoded++;
      return { containers: [wire(item)] };
    },
    version: ({ version }) => version,
  });
  const all: Item[] = Array.from({ length: 6 }, (_, index) => ({ id: `c${index}`, version: 0 }));
  const bytesOf = async (items: readonly Item[]) =>
    encodeMessage(ListContainersResponse, await list.answer(items)) as Uint8Array;
  const step = fc.record({ shown: fc.subarray(all), changed: fc.subarray(all) });
  await fc.assert(
    fc.asyncProperty(fc.array(step), async (steps) => {
      for (const { shown, changed } of steps) {
        for (const item of changed) item.version++;
        const whole = encodeMessage(ListContainersResponse, { containers: shown.map(wire) });
        expect(Buffer.from(await bytesOf(shown))).toEqual(Buffer.from(whole));
        const before = encoded;
        expect(await bytesOf(shown)).toBe(await bytesOf(shown));
        expect(encoded).toBe(before);
      }
    }),
  );
});
