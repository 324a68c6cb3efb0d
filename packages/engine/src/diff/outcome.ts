import { type Code, codes } from "@hull/errors";

/** How it went that a process made a layer or unpacked one: digest and size of the uncompressed tar, or an error. It is told as JSON. */
export type Outcome =
  | { readonly diffId: string; readonly size: number }
  | { readonly error: { readonly code: Code; readonly message: string } };

/** An outcome as it was told; undefined for a value that is none. */
export function outcomeOf(value: unknown): Outcome | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("diffId" in value && "size" in value && typeof value.diffId === "string" && typeof value.size === "number") {
    return { diffId: value.diffId, size: value.size };
  }
  if (!("error" in value) || typeof value.error !== "object" || value.error === null) return undefined;
  const { error } = value;
  if (!("code" in error) || !("message" in error) || typeof error.message !== "string") return undefined;
  const code = Object.keys(codes).find((name): name is Code => name === error.code);
  return { error: { code: code ?? "unknown", message: error.message } };
}
