import { writeFileSync } from "node:fs";
import { HullError, unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import { inNamespaces, type ThreadNamespace } from "@hull/sys/namespace";
import type { PodNamespaces } from "../model.ts";

/** Which namespace a kernel parameter is one of: namespaces(7), ipc_namespaces(7). */
const kinds: readonly (readonly [ThreadNamespace, RegExp])[] = [
  ["net", /^net\./],
  ["ipc", /^(kernel\.(sem|(msg|shm)[a-z_]*)|fs\.mqueue\..+)$/],
  ["uts", /^kernel\.(hostname|domainname)$/],
];

/** Kernel parameters of a pod by the namespace that has them. */
export type SysctlsByKind = Readonly<Record<ThreadNamespace, readonly (readonly [name: string, value: string])[]>>;

/**
 * Sorts the parameters of a pod. @throws Unknown, in runc's words, for one that no namespace has, or one of the host's that the pod shares
 */
export function sortSysctls(
  sysctls: Readonly<Record<string, string>>,
  own: Readonly<Record<ThreadNamespace, boolean>>,
): SysctlsByKind {
  const sorted: Record<ThreadNamespace, [string, string][]> = { ipc: [], net: [], uts: [] };
  for (const [given, value] of Object.entries(sysctls)) {
    // Some write them as paths.
    const name = given.replaceAll("/", ".");
    const kind = kinds.find(([, pattern]) => pattern.test(name))?.[0];
    if (kind === "net" && !own.net)
      throw unknown(`sysctl ${JSON.stringify(given)} not allowed in host network namespace`);
    if (kind === undefined || !own[kind])
      throw unknown(`sysctl ${JSON.stringify(given)} is not in a separate kernel namespace`);
    sorted[kind].push([name, value]);
  }
  return sorted;
}

/** No way leads out of /proc/sys: every dot becomes a slash. */
const pathOf = (name: string): string => `/proc/sys/${name.replaceAll(".", "/")}`;

/** Sets parameters of the namespaces that the calling thread is in. @throws Unknown naming the parameter */
export function setSysctls(sysctls: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of sysctls) {
    try {
      writeFileSync(pathOf(name), value);
    } catch (error) {
      throw failed(name, error);
    }
  }
}

/** The same in pinned namespaces that belong to a user namespace. */
export async function setMappedSysctls(sysctls: SysctlsByKind, namespaces: PodNamespaces): Promise<void> {
  for (const kind of ["net", "uts", "ipc"] as const) {
    const path = namespaces[kind];
    if (path === undefined) continue;
    for (const [name, value] of sysctls[kind]) {
      try {
        inNamespaces({ [kind]: path }, () => writeFileSync(pathOf(name), value));
      } catch (error) {
        // Of IPC the kernel lets nobody change them but that user namespace's root.
        if (!isErrno(error, "EACCES", "EPERM") || namespaces.user === undefined) throw failed(name, error);
        await setAsMappedRoot(kind, path, namespaces.user, name, value);
      }
    }
  }
}

async function setAsMappedRoot(kind: ThreadNamespace, path: string, user: string, name: string, value: string) {
  const enter = ["nsenter", `--user=${user}`, `--${kind}=${path}`, "--setuid=0", "--setgid=0"];
  const child = Bun.spawn([...enter, "--", "tee", pathOf(name)], {
    stdin: new TextEncoder().encode(value),
    stdout: "ignore",
    stderr: "pipe",
  });
  const [code, said] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code !== 0) throw failed(name, unknown(said.trim()));
}

const failed = (name: string, error: unknown) =>
  unknown(`sysctl ${JSON.stringify(name)} could not be set: ${HullError.from(error).message}`, { cause: error });
