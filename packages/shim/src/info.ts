/** The answer to `-info`: what this runtime is, and what its OCI runtime can do. */

import { RuntimeInfo } from "@hull/api/gen/containerd/types/introspection";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { chooseRuntime } from "./bundle.ts";

const featuresType = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/** The encoded `RuntimeInfo`. @param stdin an encoded Any with the runtime's options, or nothing */
export async function infoAction(version: string, stdin: Uint8Array): Promise<Uint8Array> {
  const options = stdin.length === 0 ? undefined : Any.decode(stdin);
  const features = await featuresOf(chooseRuntime("", options).binary);
  const name = "io.containerd.hull.v1";
  return RuntimeInfo.encode(RuntimeInfo.fromPartial({ name, version: { version }, options, features })).finish();
}

/** What the OCI runtime prints when asked for its features; older ones know no such command. */
async function featuresOf(binary: string): Promise<Any | undefined> {
  try {
    const child = Bun.spawn([binary, "features"], { stdio: ["ignore", "pipe", "ignore"] });
    const value = await new Response(child.stdout).bytes();
    return (await child.exited) === 0 ? { typeUrl: featuresType, value } : undefined;
  } catch {
    // Not installed: there is nothing to tell of it.
    return undefined;
  }
}
