import { HullError } from "@hull/errors";

/** An error with what was being done before its text. */
export function wrapped(what: string, error: unknown): HullError {
  const { code, message } = HullError.from(error);
  return new HullError(code, message === "" ? what : `${what}: ${message}`, { cause: error });
}

/** Does something; says before the text of an error what it was. */
export function within<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw wrapped(what, error);
  }
}

/** As `within`, of what is being done already. */
export async function withinLater<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw wrapped(what, error);
  }
}
