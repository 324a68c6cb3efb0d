import { type Code, codeOfNumber, codes, HullError } from "@hull/errors";

/** An error as gRPC and ttrpc carry it. Encoding the text for a header is the transport's work. */
export interface WireStatus {
  /** gRPC's number of the code, 0 for success. */
  code: number;
  message: string;
}

/**
 * The status of anything that was thrown.
 *
 * containerd's clients expect the class text at the end of a message (`container "a": not found`), since that is how its Go errors
 * read; it is added unless it is there. An unknown error has no class text. See https://pkg.go.dev/github.com/containerd/errdefs.
 */
export function toWireStatus(thrown: unknown): WireStatus {
  const { code, message } = HullError.from(thrown);
  const { number, text } = codes[code];
  if (code === "unknown" || message.endsWith(text)) return { code: number, message };
  return { code: number, message: message === "" ? text : `${message}: ${text}` };
}

/** The error of a status other than 0, its message without the class text. A code that nobody knows is `unknown`. */
export function fromWireStatus(status: WireStatus): HullError {
  const code = codeOfNumber(status.code);
  return new HullError(code, withoutClassText(code, status.message));
}

function withoutClassText(code: Code, message: string): string {
  const suffix = `: ${codes[code].text}`;
  return message.endsWith(suffix) ? message.slice(0, -suffix.length) : message;
}
