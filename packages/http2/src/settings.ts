import { defaultWindow, errorCodes, largestWindow } from "./codes.ts";
import { ConnectionError } from "./errors.ts";
import { uint32 } from "./frame-reader.ts";

/** Settings by their numbers (RFC 9113, section 6.5.2). */
export const settingIds = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

/** Bytes of one setting in a frame. */
export const settingLength = 6;

/** What the other side of a connection has said about itself, at its defaults until it has. Sizes in bytes. */
export interface PeerSettings {
  headerTableSize: number;
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
}

export const defaultSettings: PeerSettings = {
  headerTableSize: 4096,
  maxConcurrentStreams: Number.POSITIVE_INFINITY,
  initialWindowSize: defaultWindow,
  maxFrameSize: 16_384,
};

/**
 * The settings after a frame that changes some of them; what isn't known is passed over.
 *
 * @throws ConnectionError for a value that may not be
 */
export function applySettings(current: PeerSettings, bytes: Uint8Array, from: number, to: number): PeerSettings {
  if ((to - from) % settingLength !== 0) {
    throw new ConnectionError(errorCodes.frameSizeError, "a SETTINGS frame ends amid a setting");
  }
  const settings = { ...current };
  for (let at = from; at < to; at += settingLength) {
    const id = uint32(bytes, at) >>> 16;
    const value = uint32(bytes, at + 2);
    switch (id) {
      case settingIds.headerTableSize:
        settings.headerTableSize = value;
        break;
      case settingIds.enablePush:
        if (value > 1) throw invalid("ENABLE_PUSH", value, errorCodes.protocolError);
        break;
      case settingIds.maxConcurrentStreams:
        settings.maxConcurrentStreams = value;
        break;
      case settingIds.initialWindowSize:
        if (value > largestWindow) throw invalid("INITIAL_WINDOW_SIZE", value, errorCodes.flowControlError);
        settings.initialWindowSize = value;
        break;
      case settingIds.maxFrameSize:
        if (value < 16_384 || value > 0xff_ffff) throw invalid("MAX_FRAME_SIZE", value, errorCodes.protocolError);
        settings.maxFrameSize = value;
        break;
      default:
    }
  }
  return settings;
}

function invalid(name: string, value: number, code: number): ConnectionError {
  return new ConnectionError(code, `the setting ${name} can't be ${value}`);
}
