/** The answer to `-info`: what this runtime is. */

import { RuntimeInfo } from "@hull/api/gen/containerd/types/introspection";

/** The encoded `RuntimeInfo`. */
export function infoAction(version: string): Uint8Array {
  const name = "io.containerd.hull.v1";
  return RuntimeInfo.encode(RuntimeInfo.fromPartial({ name, version: { version } })).finish();
}
