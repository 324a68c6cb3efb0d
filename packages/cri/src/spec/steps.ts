import { HullError } from "@hull/errors";

/** Where making a container fails, in containerd's words. */
export const contexts = {
  options: (id: string) => `failed to generate container ${JSON.stringify(id)} spec: failed to generate spec opts`,
  spec: (id: string) => `failed to generate container ${JSON.stringify(id)} spec: failed to generate spec`,
  containerOptions: "failed to get container spec opts",
  container: "failed to create containerd container",
} as const;

function inContext(context: string, thrown: unknown): HullError {
  const { code, message } = HullError.from(thrown);
  return new HullError(code, `${context}: ${message}`, { cause: thrown });
}

/** Does a step whose error is told with what it was for. */
export function during<T>(context: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw inContext(context, error);
  }
}

/** As `during`, for what takes its time. */
export async function duringAsync<T>(context: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw inContext(context, error);
  }
}
