import { HullError } from "@hull/errors";

/** A breach of the protocol that ends the whole connection (RFC 9113, section 5.4.1). */
export class ConnectionError extends HullError {
  /** One of `errorCodes`. */
  readonly http2Code: number;

  constructor(http2Code: number, message: string) {
    super("internal", `HTTP/2: ${message}`);
    this.http2Code = http2Code;
  }
}

/** A breach of the protocol that ends one stream (RFC 9113, section 5.4.2). */
export class StreamError extends HullError {
  readonly streamId: number;
  /** One of `errorCodes`. */
  readonly http2Code: number;

  constructor(streamId: number, http2Code: number, message: string) {
    super("internal", `HTTP/2: ${message}`);
    this.streamId = streamId;
    this.http2Code = http2Code;
  }
}
