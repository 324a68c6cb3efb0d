import { type Code, HullError, invalidArgument } from "@hull/errors";
import { type FieldList, fieldOf } from "@hull/http2/fields";
import { fromWireStatus, type WireStatus } from "../status.ts";

/**
 * What gRPC says in headers and trailers.
 *
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Requests" and "Responses", and http-grpc-status-mapping.md
 * beside it.
 */

/** The error in trailers (or in headers that are all there is), null for success, undefined if they have no status. */
export function statusOf(fields: FieldList): HullError | null | undefined {
  const status = fieldOf(fields, "grpc-status");
  if (status === undefined) return undefined;
  const code = /^\d{1,3}$/.test(status) ? Number(status) : -1;
  if (code === 0) return null;
  return fromWireStatus({ code, message: decodeMessageText(fieldOf(fields, "grpc-message") ?? "") });
}

/** The trailers of a call that ended with `status`. */
export function trailersOf({ code, message }: WireStatus): FieldList {
  if (message !== "") return ["grpc-status", String(code), "grpc-message", encodeMessageText(message)];
  return code === 0 ? success : ["grpc-status", String(code)];
}

const success: FieldList = ["grpc-status", "0"];

/** The error of an HTTP status that is not gRPC's doing: something else answers there. */
export function httpError(status: number): HullError {
  return new HullError(
    httpCodes[status] ?? "unknown",
    `the server answered with the HTTP status ${status}, so it does not speak gRPC`,
  );
}

const httpCodes: Readonly<Record<number, Code>> = {
  400: "internal",
  401: "unauthenticated",
  403: "permissionDenied",
  404: "unimplemented",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

/** The code of an HTTP/2 reset, by its error code (RFC 9113, section 7). */
export function resetCode(code: number): Code {
  switch (code) {
    case 0x7:
      return "unavailable";
    case 0x8:
      return "canceled";
    case 0xb:
      return "resourceExhausted";
    case 0xc:
      return "permissionDenied";
    default:
      return "internal";
  }
}

/** `grpc-message`: UTF-8 with percent signs. What isn't valid is kept as it came, since an error text must not fail. */
export function decodeMessageText(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const hex = /^%([0-9A-Fa-f]{2})/.exec(text.slice(at, at + 3))?.[1];
    if (hex === undefined) {
      bytes.push(text.charCodeAt(at) & 0xff);
    } else {
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** The other way: printable ASCII stays, all other bytes of the UTF-8 get a percent sign. */
export function encodeMessageText(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = "";
  // A lone half of a surrogate pair becomes U+FFFD.
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** `grpc-timeout`: at most eight digits and a unit. Rounded up, so that a server never gives up before its caller. */
export function encodeTimeout(milliseconds: number): string {
  const microseconds = Math.ceil(Math.max(0, milliseconds) * 1000);
  if (microseconds < 1e8) return `${microseconds}u`;
  if (microseconds < 1e11) return `${Math.ceil(microseconds / 1000)}m`;
  return `${Math.min(99_999_999, Math.ceil(microseconds / 1e6))}S`;
}

/** Milliseconds of a `grpc-timeout`. @throws InvalidArgument for a text that is none. */
export function decodeTimeout(text: string): number {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const factor = timeoutUnits[unit];
  if (digits === undefined || factor === undefined) throw invalidArgument(`malformed grpc-timeout: "${text}"`);
  return Number(digits) * factor;
}

const timeoutUnits: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** True for the content types of gRPC: `application/grpc`, also with a format (`+proto`) or parameters behind it. */
export function isGrpcContent(contentType: string | undefined): boolean {
  return /^application\/grpc(?:[+;]|$)/.test(contentType ?? "");
}

/**
 * Adds a caller's metadata to headers.
 *
 * @throws InvalidArgument for a name or a value that a header can't carry.
 */
export function pushMetadata(headers: string[], metadata: Readonly<Record<string, string>>): void {
  for (const name in metadata) {
    const value = metadata[name] ?? "";
    if (!/^[0-9a-z_.-]+$/.test(name) || name.startsWith("grpc-")) {
      throw invalidArgument(
        `metadata "${name}" can't be sent: names have lower case letters, digits and "_.-", not "grpc-"`,
      );
    }
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw invalidArgument(`metadata "${name}" can't be sent: its value "${value}" is not printable ASCII`);
    }
    headers.push(name, value);
  }
}
