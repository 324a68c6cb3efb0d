import { isCode } from "@hull/errors";

/** What `work` gives; undefined if the thing isn't there (any more). */
export async function unlessGone<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}
