import type { Digester } from "@hull/oci/digest";

// About 3 ms of hashing: other work of the event loop waits no longer.
const slice = 2 << 20;

/** Gives `bytes` to the digester, and way to other work now and then. They must not change until this is done. */
export async function digestInSlices(digester: Digester, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length; start += slice) {
    if (start > 0) await new Promise(setImmediate);
    digester.update(bytes.length > slice ? bytes.subarray(start, start + slice) : bytes);
  }
}
