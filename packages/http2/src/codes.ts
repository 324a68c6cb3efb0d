/** Numbers of HTTP/2 as they stand on the wire (RFC 9113, sections 6 and 7). */

/** Why a stream or a connection ended (section 7). */
export const errorCodes = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

/** Section 6. */
export const frameTypes = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

/** Section 6; `ack` and `endStream` share a bit, each of frame types of its own. */
export const frameFlags = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

/** Bytes before the payload of every frame (section 4.1). */
export const frameHeadLength = 9;

/** What a client begins with (section 3.4). */
export const preface: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The largest window, in bytes (section 6.9.1). */
export const largestWindow = 2 ** 31 - 1;

/** Windows before anybody says otherwise, in bytes (section 6.9.2). */
export const defaultWindow = 65_535;
