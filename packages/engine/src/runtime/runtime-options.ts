/** Options of hull's own shim, which are runc's: what a client gives, with what it leaves open decided. */

import { Options } from "@hull/api/gen/containerd/runc/v1/options";
import { invalidArgument } from "@hull/errors";
import type { TypedBytes } from "../labels.ts";
import type { RuntimeDirectories } from "./bundle.ts";
import { defaultOciRuntime, runtimeForSpec } from "./oci-runtime.ts";

const runcOptions = "containerd.runc.v1.Options";

/** Options as this daemon's configuration has them. */
export class RuntimeOptions {
  readonly #directories: RuntimeDirectories;
  /** OCI runtime that the configuration names. */
  readonly #configured: string | undefined;
  /** The one of containers that don't name any. */
  #ociRuntime: string | undefined;

  constructor({ directories, ociRuntime }: { directories: RuntimeDirectories; ociRuntime?: string }) {
    this.#directories = directories;
    this.#configured = ociRuntime;
    this.#ociRuntime = ociRuntime;
  }

  /** Our shim takes runc's options; what they leave open the configuration decides. @throws InvalidArgument if they can't be decoded */
  complete(given: TypedBytes | undefined): TypedBytes {
    if (given !== undefined && given.typeUrl !== "" && !given.typeUrl.endsWith(runcOptions)) return given;
    const options = given === undefined ? Options.fromPartial({}) : decodeOptions(given);
    if (options.binaryName === "") options.binaryName = this.#ociRuntime ??= defaultOciRuntime();
    if (options.root === "") options.root = `${this.#directories.state}/runc`;
    return { typeUrl: runcOptions, value: Options.encode(options).finish() };
  }

  /** The same for a container: an OCI runtime that nobody named has to take its specification. */
  async completeFor(spec: Uint8Array, given: TypedBytes | undefined): Promise<TypedBytes> {
    const options = this.complete(given);
    if (!options.typeUrl.endsWith(runcOptions)) return options;
    const isNamed = given !== undefined && decodeOptions(given).binaryName !== "";
    if (isNamed || this.#configured !== undefined) return options;
    const chosen = decodeOptions(options);
    const binaryName = await runtimeForSpec(chosen.binaryName, spec);
    return { typeUrl: runcOptions, value: Options.encode({ ...chosen, binaryName }).finish() };
  }
}

function decodeOptions({ value }: TypedBytes): Options {
  try {
    return Options.decode(value);
  } catch (cause) {
    throw invalidArgument(`the runtime options are not a "${runcOptions}"`, { cause });
  }
}
