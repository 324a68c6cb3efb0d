import { describe, expect, test } from "bun:test";
import { codeOfNumber, codes, HullError, isCode, notFound } from "./index.ts";

describe("errors", () => {
  test("every code's number leads back to its name", () => {
    for (const [name, { number }] of Object.entries(codes)) expect(codeOfNumber(number) as string).toBe(name);
    expect(codeOfNumber(99)).toBe("unknown");
  });

  test("from keeps a HullError, and classes aborts, timeouts and strangers", () => {
    const error = notFound('image "x" was not found');
    expect(HullError.from(error)).toBe(error);
    expect(isCode(error, "notFound")).toBe(true);
    expect(HullError.from(new DOMException("stop", "AbortError")).code).toBe("canceled");
    expect(HullError.from(AbortSignal.timeout(0).reason ?? new DOMException("late", "TimeoutError")).code).toBe(
      "deadlineExceeded",
    );
    const plain = HullError.from(new TypeError("boom"));
    expect([plain.code, plain.message]).toEqual(["unknown", "boom"]);
    expect(plain.cause).toBeInstanceOf(TypeError);
    expect(HullError.from("text").message).toBe("text");
  });
});
