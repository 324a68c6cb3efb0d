import { describe, expect, test } from "bun:test";
import { hostLinesOf, peersOf, rulesOf } from "./peers.ts";

const known: Readonly<Record<string, readonly string[]>> = {
  both: ["192.0.2.1", "2001:db8::1"],
  "six.example": ["2001:db8::6"],
};
const place = (ipv6: boolean) => ({ ipv6, addressesOf: async (name: string) => known[name] ?? [] });

describe("whom a sandbox may talk to", () => {
  test("by address, range and name", async () => {
    const allow = [
      { address: "10.0.0.0/8", port: 1 },
      { address: "2001:db8::/32", port: 2, protocol: "udp" as const },
      { address: "both", port: 3 },
    ];
    const peers = await peersOf(allow, place(true));
    const rules = rulesOf(peers)
      .split(" ; ")
      .filter((rule) => rule.includes("dport"));
    expect(rules).toEqual([
      "add rule inet sandbox out ip daddr 10.0.0.0/8 tcp dport 1 accept",
      "add rule inet sandbox out ip6 daddr 2001:db8::/32 udp dport 2 accept",
      "add rule inet sandbox out ip daddr 192.0.2.1 tcp dport 3 accept",
      "add rule inet sandbox out ip6 daddr 2001:db8::1 tcp dport 3 accept",
    ]);
    expect(rulesOf(peers)).toContain("nd-neighbor-solicit");
    expect(hostLinesOf(peers)).toEqual(["192.0.2.1\tboth", "2001:db8::1\tboth"]);
  });

  test("without IPv6 on the host a name is what IPv4 says, and nothing else of IPv6 is allowed", async () => {
    const peers = await peersOf([{ address: "both", port: 3 }], place(false));
    expect(hostLinesOf(peers)).toEqual(["192.0.2.1\tboth"]);
    expect(rulesOf(peers)).not.toContain("icmpv6");
    for (const address of ["2001:db8::1", "::/0", "six.example"])
      await expect(peersOf([{ address, port: 1 }], place(false))).rejects.toMatchObject({
        code: "failedPrecondition",
        message: `allowed address "${address}" is one of IPv6, which this host has not: turn IPv6 on, or leave it out`,
      });
  });

  test.each([
    "",
    "1.1.1.1; flush ruleset",
    "10.0.0.0/33",
    "10.1.2",
    "::/129",
    "fe80::1%eth0",
    "a b",
    "-a",
    "a..b",
    "*.org",
  ])("%p is none", (address) =>
    expect(peersOf([{ address, port: 1 }], place(true))).rejects.toMatchObject({ code: "invalidArgument" }),
  );

  test("ports and protocols are what they can be", async () => {
    for (const port of [0, 65_536, 1.5])
      await expect(peersOf([{ address: "::1", port }], place(true))).rejects.toThrow("port");
    const protocol = "icmp" as "tcp";
    await expect(peersOf([{ address: "::1", port: 1, protocol }], place(true))).rejects.toThrow(
      'must be "tcp" or "udp"',
    );
  });
});
