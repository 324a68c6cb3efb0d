import { errorCodes } from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import type { FieldList } from "./fields.ts";
import type { StreamFields } from "./header-block.ts";

/** @throws StreamError for a block that says what is wrong with it, or in which `faultOf` finds something */
export function checkFields(block: StreamFields, faultOf: (fields: FieldList) => string | undefined): void {
  const { streamId } = block;
  if (block.tooLarge) throw new StreamError(streamId, errorCodes.enhanceYourCalm, "the header list is too large");
  const fault = block.valid ? faultOf(block.fields) : "a field has characters that it may not have";
  if (fault !== undefined) throw new StreamError(streamId, errorCodes.protocolError, fault);
}

/** @throws ConnectionError unless a frame has as many bytes as its type says */
export function expectLength(length: number, expected: number): void {
  if (length === expected) return;
  throw new ConnectionError(errorCodes.frameSizeError, `a frame has ${length} bytes instead of ${expected}`);
}

/** @throws ConnectionError for a frame of a stream where it is about the connection */
export function expectConnection(streamId: number, frame: string): void {
  if (streamId !== 0) throw new ConnectionError(errorCodes.protocolError, `${frame} is of stream ${streamId}`);
}

/** @throws ConnectionError for a frame about the connection where it is of a stream */
export function expectStream(streamId: number, frame: string): void {
  if (streamId === 0) throw new ConnectionError(errorCodes.protocolError, `${frame} is of no stream`);
}

/** The error of a frame of a stream that nobody has opened. */
export function idle(streamId: number, frame: string): ConnectionError {
  return new ConnectionError(errorCodes.protocolError, `${frame} of stream ${streamId}, which is not open`);
}
