/** The answer to `-info`: what this runtime is, and what its OCI runtime can do. */

import { RuntimeInfo } from "@hull/api/gen/containerd/types/introspection";
import { Any } from "@hull/api/gen/google/protobuf/any";
import { chooseRuntime } from "./bundle.ts";
import { oldCrunFeatures } from "./crun-features.ts";

const featuresType = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/** The encoded `RuntimeInfo`. @param stdin an encoded Any with the runtime's options, or nothing */
export async function infoAction(version: string, stdin: Uint8Array): Promise<Uint8Array> {
  const options = stdin.length === 0 ? undefined : Any.decode(stdin);
  const features = await featuresOf(chooseRuntime("", options).binary);
  const name = "io.containerd.hull.v1";
  return RuntimeInfo.encode(RuntimeInfo.fromPartial({ name, version: { version }, options, features })).finish();
}

/** What the OCI runtime prints when asked for its features. Older ones know no such command: of them crun's are known. */
async function featuresOf(binary: string): Promise<Any | undefined> {
  const value = await printed([binary, "features"]);
  if (value !== undefined) return { typeUrl: featuresType, value };
  const version = await printed([binary, "--version"]);
  const known = version && oldCrunFeatures(new TextDecoder().decode(version));
  return known && { typeUrl: featuresType, value: new TextEncoder().encode(JSON.stringify(known)) };
}

async function printed(argv: string[]): Promise<Uint8Array | undefined> {
  try {
    const child = Bun.spawn(argv, { stdio: ["ignore", "pipe", "ignore"] });
    const value = await new Response(child.stdout).bytes();
    return (await child.exited) === 0 ? value : undefined;
  } catch {
    // Not installed: there is nothing to tell of it.
    return undefined;
  }
}
