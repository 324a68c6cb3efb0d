/** Labels of a container's files: SELinux has them by an option of the mount, mount(8) "context=". */

import type { Mount } from "../mount/index.ts";

/**
 * A root file system's mounts with the label that the specification names as `linux.mountLabel`, as containerd's clients pass them: files of the
 * snapshot itself stay as they are. Where a mount brings a label, that one holds.
 */
export function withMountLabel(mounts: readonly Mount[], spec: Uint8Array): readonly Mount[] {
  const text = Buffer.from(spec.buffer, spec.byteOffset, spec.byteLength);
  // Few hosts have labels: don't parse for the others.
  if (mounts.length === 0 || !text.includes('"mountLabel"')) return mounts;
  const { linux } = JSON.parse(text.toString()) as { linux?: { mountLabel?: string } };
  const label = linux?.mountLabel ?? "";
  if (label === "") return mounts;
  return mounts.map((mount) =>
    mount.options.some((option) => option.startsWith("context="))
      ? mount
      : // In quotes, since categories have a comma between them.
        { ...mount, options: [...mount.options, `context="${label}"`] },
  );
}
