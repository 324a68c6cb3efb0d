import { HullError } from "@hull/errors";

/** An error with what was being done in front of its text. */
export function within(what: string, error: unknown): HullError {
  const { code, message } = HullError.from(error);
  return new HullError(code, `${what}: ${message}`, { cause: error });
}

/** What `work` gives; its errors say what was being done. */
export function doing<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw within(what, error);
  }
}

/** The same for what takes its time. */
export async function doingLater<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw within(what, error);
  }
}
