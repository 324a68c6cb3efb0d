/** Features of a crun that has no command to tell them: crun 1.8.6 brought it. */

/** A part of what OCI runtimes tell (OCI runtime spec, features.md); what is left out is unknown. */
export interface OldCrunFeatures {
  readonly ociVersionMin: string;
  readonly ociVersionMax: string;
  readonly mountOptions: readonly string[];
  readonly linux: {
    readonly namespaces: readonly string[];
    readonly seccomp: { readonly enabled: boolean };
    readonly apparmor: { readonly enabled: boolean };
    readonly selinux: { readonly enabled: boolean };
  };
}

const kept = ["suid", "dev", "exec", "atime", "diratime", "relatime", "strictatime"];
const mountOptions = [
  ...["defaults", "rw", "ro", "async", "sync", "dirsync", "remount", "mand", "nomand"],
  ...kept.flatMap((name) => [name, `no${name}`]),
  // Since crun 1.4, by its NEWS.
  ...["rrw", "rro", ...kept.flatMap((name) => [`r${name}`, `rno${name}`])],
  ...["bind", "private", "shared", "slave", "unbindable"].flatMap((name) => [name, `r${name}`]),
  ...["tmpcopyup", "idmap"],
];

/**
 * @param version what `crun --version` prints: the version, and with a plus sign each what it was built with
 * @returns undefined for a crun before 1.4, and for what isn't crun
 */
export function oldCrunFeatures(version: string): OldCrunFeatures | undefined {
  const [, major, minor] = /^crun version (\d+)\.(\d+)/m.exec(version) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  if (Number(major) < 1 || (Number(major) === 1 && Number(minor) < 4)) return undefined;
  const has = (part: string) => ({ enabled: version.split(/\s+/).includes(`+${part}`) });
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: /^spec: (\S+)$/m.exec(version)?.[1] ?? "1.0.0",
    mountOptions,
    linux: {
      namespaces: ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
      seccomp: has("SECCOMP"),
      apparmor: has("APPARMOR"),
      selinux: has("SELINUX"),
    },
  };
}
