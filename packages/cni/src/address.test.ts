import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { addressBytes, formatAddress } from "./address.ts";

const hex = (text: string): string | undefined => addressBytes(text)?.toString("hex");

describe("addresses", () => {
  test.each([
    ["10.1.2.255", "0a0102ff"],
    ["::", "0".repeat(32)],
    ["::1", `${"0".repeat(31)}1`],
    ["fd00:1::", `fd000001${"0".repeat(24)}`],
    ["2001:db8::8:800:200C:417A", "20010db80000000000080800200c417a"],
    ["0:0:0:0::0.0.0.1", `${"0".repeat(31)}1`],
    ["::ffff:192.0.2.128", `${"0".repeat(20)}ffffc0000280`],
    ["fe80::1%eth0", `fe80${"0".repeat(27)}1`],
  ])("%s", (text, bytes) => expect(hex(text)).toBe(bytes));

  test.each(["", "10.1.2", "10.1.2.256", "localhost", "fd00::1::2", "fd00:1", "10.0.0.0/8"])("%p is none", (text) =>
    expect(hex(text)).toBeUndefined(),
  );

  test("what is formatted is the same address", () =>
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const bytes = addressBytes(text) ?? Buffer.of();
        expect(addressBytes(formatAddress(bytes))?.equals(bytes)).toBe(true);
      }),
    ));
});
