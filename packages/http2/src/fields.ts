/**
 * The fields of a header or trailer block in their order, name and value in turn. One flat list, since most are looked at once and
 * thrown away. Names are lower case; values hold one byte of the wire per character (Latin-1).
 */
export type FieldList = readonly string[];

/** The first value of a field, undefined if there is none. */
export function fieldOf(fields: FieldList, name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

/** Fields that say how HTTP/1 frames a message, which has no meaning here (RFC 9113, section 8.2.2). */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/**
 * What is wrong with the block that opens a request (RFC 9113, section 8.3.1), undefined if nothing is: pseudo-header fields come
 * first, are known, and each of `:method`, `:scheme` and `:path` is there once.
 */
export function faultOfRequest(fields: FieldList): string | undefined {
  let seen = 0;
  let pseudo = true;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (name.charCodeAt(0) !== colon) {
      pseudo = false;
      const fault = faultOfField(name, fields[at + 1]);
      if (fault !== undefined) return fault;
      continue;
    }
    const bit = requestPseudo[name];
    if (bit === undefined) return `"${name}" is no field of a request`;
    if (!pseudo) return `"${name}" follows a regular field`;
    if ((seen & bit) !== 0) return `"${name}" is there twice`;
    if (name === ":path" && fields[at + 1] === "") return `":path" is empty`;
    seen |= bit;
  }
  return (seen & 7) === 7 ? undefined : `a request without ":method", ":scheme" or ":path"`;
}

/** What is wrong with the block that opens a response: it has `:status`, once and first. */
export function faultOfResponse(fields: FieldList): string | undefined {
  if (fields[0] !== ":status" || !/^[1-9]\d\d$/.test(fields[1] ?? "")) return `a response without ":status"`;
  return faultOfRegular(fields, 2);
}

/** What is wrong with trailers: they have no pseudo-header fields (section 8.1). */
export function faultOfTrailers(fields: FieldList): string | undefined {
  return faultOfRegular(fields, 0);
}

function faultOfRegular(fields: FieldList, from: number): string | undefined {
  for (let at = from; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (name.charCodeAt(0) === colon) return `"${name}" is out of its place`;
    const fault = faultOfField(name, fields[at + 1]);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOfField(name: string, value: string | undefined): string | undefined {
  if (connectionFields.has(name)) return `"${name}" is a field of HTTP/1`;
  if (name === "te" && value !== "trailers") return `"te" is "${value}"`;
  return undefined;
}

const colon = 0x3a;

const requestPseudo: Readonly<Record<string, number>> = {
  ":method": 1,
  ":scheme": 2,
  ":path": 4,
  ":authority": 8,
};
