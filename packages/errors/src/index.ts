/**
 * The one family of errors that hull throws, from the engine to the SDK.
 *
 * Each error has one of the sixteen codes that gRPC and ttrpc know, so that it crosses a socket unchanged; the text names
 * the thing, in quotes, and says what was wrong with it. Code numbers: the gRPC status code list
 * (https://grpc.io/docs/guides/status-codes/).
 */

/** Every code with its number on the wire and the class text that containerd appends to a message. */
export const codes = {
  canceled: { number: 1, text: "context canceled" },
  unknown: { number: 2, text: "unknown" },
  invalidArgument: { number: 3, text: "invalid argument" },
  deadlineExceeded: { number: 4, text: "context deadline exceeded" },
  notFound: { number: 5, text: "not found" },
  alreadyExists: { number: 6, text: "already exists" },
  permissionDenied: { number: 7, text: "permission denied" },
  resourceExhausted: { number: 8, text: "resource exhausted" },
  failedPrecondition: { number: 9, text: "failed precondition" },
  aborted: { number: 10, text: "aborted" },
  outOfRange: { number: 11, text: "out of range" },
  unimplemented: { number: 12, text: "not implemented" },
  internal: { number: 13, text: "internal" },
  unavailable: { number: 14, text: "unavailable" },
  dataLoss: { number: 15, text: "data loss" },
  unauthenticated: { number: 16, text: "unauthenticated" },
} as const;

/** The name of an error's class. */
export type Code = keyof typeof codes;

/** An error with a code. `message` is the bare text, without the class text that goes on the wire. */
export class HullError extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
    // As Node names errors with codes: a bare text may say no more than which thing it is about.
    this.name = `HullError [${code}]`;
    this.code = code;
  }

  /**
   * Makes a HullError of anything that was thrown: itself, an abort (canceled, or deadlineExceeded for a timeout), else
   * unknown with the original as its cause.
   */
  static from(thrown: unknown): HullError {
    if (thrown instanceof HullError) return thrown;
    if (thrown instanceof Error) {
      if (thrown.name === "AbortError") return new HullError("canceled", thrown.message, { cause: thrown });
      if (thrown.name === "TimeoutError") return new HullError("deadlineExceeded", thrown.message, { cause: thrown });
      return new HullError("unknown", thrown.message, { cause: thrown });
    }
    return new HullError("unknown", String(thrown), { cause: thrown });
  }
}

/** True if `thrown` is a HullError with this code. */
export function isCode(thrown: unknown, code: Code): thrown is HullError {
  return thrown instanceof HullError && thrown.code === code;
}

/** The code's name for a number on the wire; `unknown` for a number that no code has. */
export function codeOfNumber(number: number): Code {
  for (const [name, { number: candidate }] of Object.entries(codes)) {
    if (candidate === number) return name as Code;
  }
  return "unknown";
}

function maker(code: Code): (message: string, options?: { cause?: unknown }) => HullError {
  const make = (message: string, options?: { cause?: unknown }): HullError => {
    const error = new HullError(code, message, options);
    // The trace begins where it is thrown: its first line is what Node and Bun show of an error that nobody catches.
    Error.captureStackTrace(error, make);
    return error;
  };
  return make;
}

export const canceled = maker("canceled");
export const unknown = maker("unknown");
export const invalidArgument = maker("invalidArgument");
export const deadlineExceeded = maker("deadlineExceeded");
export const notFound = maker("notFound");
export const alreadyExists = maker("alreadyExists");
export const permissionDenied = maker("permissionDenied");
export const resourceExhausted = maker("resourceExhausted");
export const failedPrecondition = maker("failedPrecondition");
export const aborted = maker("aborted");
export const outOfRange = maker("outOfRange");
export const unimplemented = maker("unimplemented");
export const internal = maker("internal");
export const unavailable = maker("unavailable");
export const dataLoss = maker("dataLoss");
export const unauthenticated = maker("unauthenticated");
