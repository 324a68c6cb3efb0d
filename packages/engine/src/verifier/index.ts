import type { Descriptor } from "@hull/oci/descriptor";

/** Says whether an image may be pulled, once it is known what its name stands for and before any of it is fetched. */
export interface ImageVerifier {
  /** @throws Unknown, saying why, if it can't judge: the image isn't pulled then */
  verify(name: string, descriptor: Descriptor, signal: AbortSignal): Promise<Judgement>;
}

export interface Judgement {
  ok: boolean;
  /** For whoever asked for the image. */
  reason: string;
}

export { ProgramVerifier, type ProgramVerifierOptions } from "./bindir.ts";
