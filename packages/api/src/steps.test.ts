import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeMessage } from "./caller.ts";
import { ListResponse } from "./gen/containerd/services/leases/v1/leases.ts";
import { bytesOf, encodedInSteps, pagesOf } from "./steps.ts";

describe("messages encoded in steps", () => {
  test("have the bytes of the whole message", async () => {
    const lists = fc.array(fc.record({ id: fc.string(), labels: fc.dictionary(fc.string(), fc.string()) }));
    await fc.assert(
      fc.asyncProperty(lists, fc.integer({ min: 1, max: 5 }), async (leases, size) => {
        const answer = await encodedInSteps(
          ListResponse,
          pagesOf(leases, size).map((page) => ListResponse.fromPartial({ leases: page })),
        );
        const whole = encodeMessage(ListResponse, { leases });
        expect(Buffer.from(encodeMessage(ListResponse, answer))).toEqual(Buffer.from(whole));
      }),
    );
  });

  test("are told from others", () => {
    for (const other of [undefined, null, {}, "text"]) expect(bytesOf(other)).toBeUndefined();
  });
});
