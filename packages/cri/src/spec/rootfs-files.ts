/** The files that say who users and groups are, out of a container's root file system. */

import type { Mount } from "@hull/engine/mount/index";
import { readOnlyMounts, temporaryMount } from "@hull/engine/mount/temporary";
import type { UserFiles } from "@hull/oci/spec";
import { Descriptor, open, openFlags } from "@hull/sys/fd";
import { readTextInside } from "@hull/sys/resolve";

/** Where specs get them. */
export interface RootfsFiles {
  users(): Promise<UserFiles>;
}

/** How many images' files are kept, and of how many characters at most: most images have less than 2,000. */
const keptImages = 256;
const keptLength = 16_384;

/**
 * Reads them by mounting the root file system for a moment, read-only; links are followed inside it alone. What an image has never changes, so
 * it is read for an image's first container and kept for the others.
 */
export class UserFilesReader {
  readonly #known = new Map<string, UserFiles>();

  /** Of a container that was just made from the image's topmost snapshot `chainId`. `mounts` are asked for if the files aren't known. */
  of(chainId: string, mounts: () => Promise<readonly Mount[]>): RootfsFiles {
    return {
      users: async () => {
        const known = this.#known.get(chainId);
        if (known !== undefined) return known;
        const files = await readUserFiles(await mounts());
        if ((files.passwd?.length ?? 0) + (files.group?.length ?? 0) <= keptLength) this.#keep(chainId, files);
        return files;
      },
    };
  }

  #keep(chainId: string, files: UserFiles): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= keptImages && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(chainId, files);
  }
}

async function readUserFiles(mounts: readonly Mount[]): Promise<UserFiles> {
  await using mounted = temporaryMount(readOnlyMounts(mounts));
  using root = new Descriptor(open(mounted.path, openFlags.path | openFlags.directory));
  return { passwd: readTextInside(root.fd, "/etc/passwd"), group: readTextInside(root.fd, "/etc/group") };
}
