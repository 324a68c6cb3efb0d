import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contains, endsOf, formatSubnet, freeSubnet, overlap, parseSubnet, routedSubnets } from "./subnets.ts";

const address = { 4: fc.ipV4(), 6: fc.ipV6() } as const;

describe("subnets", () => {
  test.each([
    ["10.1.2.0/24", "10.1.2.0", "10.1.2.255"],
    ["0.0.0.0/0", "0.0.0.0", "255.255.255.255"],
    ["192.168.1.7/32", "192.168.1.7", "192.168.1.7"],
    ["fd00:1::/64", "fd00:1::", "fd00:1::ffff:ffff:ffff:ffff"],
    ["::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ])("%s", (text, first, last) => {
    expect(formatSubnet(parseSubnet(text))).toBe(text);
    expect(endsOf(parseSubnet(text))).toEqual({ first, last });
  });

  test.each(["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/8/9", "fd00::/129", "host/24"])(
    "%p is none",
    (text) => expect(() => parseSubnet(text)).toThrow("must be of the form ADDRESS/PREFIX"),
  );

  test("one with bits behind its prefix is told its first address", () =>
    expect(() => parseSubnet("10.1.2.3/24")).toThrow("its first address is 10.1.2.0"));

  test("every address is in its own subnet of one, and in none beside", () =>
    fc.assert(
      fc.property(fc.constantFrom(4 as const, 6 as const), fc.gen(), (family, gen) => {
        const [one, other] = [gen(() => address[family]), gen(() => address[family])];
        const bits = family === 4 ? 32 : 128;
        const subnet = parseSubnet(`${one}/${bits}`);
        expect(contains(subnet, one)).toBe(true);
        expect(contains(subnet, other)).toBe(overlap(subnet, parseSubnet(`${other}/${bits}`)));
        expect(parseSubnet(formatSubnet(subnet))).toEqual(subnet);
      }),
    ));

  test("the free one is the first that overlaps with none that is taken", () => {
    expect(formatSubnet(freeSubnet([]))).toBe("10.90.0.0/24");
    const taken = ["10.90.0.0/23", "10.90.2.128/25", "fd00::/8"].map(parseSubnet);
    expect(formatSubnet(freeSubnet(taken))).toBe("10.90.3.0/24");
    expect(() => freeSubnet([parseSubnet("10.0.0.0/8")])).toThrow("name a subnet");
  });

  test("routes of the host, but for the default one", () => {
    const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const table = `${head}eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\nhull0\t0040580A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n`;
    expect(routedSubnets(table).map(formatSubnet)).toEqual(["10.88.64.0/20"]);
  });
});
