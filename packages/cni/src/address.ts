import { isIPv4, isIPv6 } from "node:net";

/**
 * An address as the network has it: 4 bytes of IPv4, 16 of IPv6 (RFC 4291, section 2.2, whose short forms it may be in; a zone, RFC 4007, is
 * left out). undefined for what is none.
 */
export function addressBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!isIPv6(text)) return undefined;
  // Not by the URL parser: Bun's refuses some forms that are right.
  const [start = "", end = ""] = (text.split("%")[0] ?? "").split("::").map(withoutDots);
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const [first, last] = [groups(start), groups(end)];
  const all = [...first, ...new Array<string>(8 - first.length - last.length).fill("0"), ...last];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** An IPv4 address at the end stands for the last two of the groups. */
const withoutDots = (part: string): string =>
  part.replace(/[^:]+\.[^:]+$/, (dotted) =>
    Buffer.from(dotted.split(".").map(Number)).toString("hex").replace(/^..../, "$&:"),
  );

/** The address that bytes are, in its shortest form: RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Buffer.from(bytes).toString("hex").match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
