/** SELinux labels of containers: `user:role:type:level`, the level with two categories that no other container has (selinux(8)). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SELinuxOption } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";

/** Of a container's processes, and of its files. Both empty without SELinux. */
export interface SelinuxLabels {
  readonly process: string;
  readonly mount: string;
}

export const noLabels: SelinuxLabels = { process: "", mount: "" };

/** What containers have by the host's policy. */
export interface SelinuxPolicy {
  readonly process: string;
  readonly file: string;
}

const levelForm = /^s\d(-s\d)??(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?$/;

/** @throws Unknown for a level that isn't of SELinux's form, on any host */
export function checkSelinux(options: SELinuxOption | undefined): void {
  const level = options?.level ?? "";
  if (level !== "" && !levelForm.test(level))
    throw unknown(`the format of 'level' ${JSON.stringify(level)} is not correct`);
}

/** A label's four parts; a level may have colons of its own. */
function parts(label: string): [user: string, role: string, type: string, level: string] {
  const [user = "", role = "", type = "", ...level] = label.split(":");
  return [user, role, type, level.join(":")];
}

/**
 * Gives containers labels, and pairs of categories of their own.
 *
 * A pod's labels are its containers' too, so that they may use each other's files: ask with the pod's process label. Whoever is restored after a
 * restart says so by `reserve`; whoever ends, by `release`.
 */
export class SelinuxLabeler {
  readonly #policy: SelinuxPolicy | undefined;
  readonly #categories: number;
  readonly #used = new Set<string>();

  /** Without a policy all labels are empty. `categories`: how many there are to take from. */
  constructor(policy: SelinuxPolicy | undefined, categories: number) {
    this.#policy = policy;
    this.#categories = categories === 0 ? 1024 : categories;
  }

  /** @throws Unknown for a malformed level, or when all categories are taken */
  label(options: SELinuxOption | undefined, podLabel = ""): SelinuxLabels {
    checkSelinux(options);
    const policy = this.#policy;
    if (policy === undefined) return noLabels;
    const given = options !== undefined && Object.values(options).some((value) => value !== "");
    const [user, role, type, level] = parts(policy.process);
    const [fileUser, fileRole, fileType] = parts(policy.file);
    const wanted = given
      ? { user: options.user || user, role: options.role || role, type: options.type || type, level: options.level }
      : podOptions(podLabel, { user, role, type });
    const own = wanted.level === "" ? `${level.split(":")[0] ?? "s0"}:${this.#categoriesOf()}` : wanted.level;
    this.#used.add(own);
    return {
      process: [wanted.user, wanted.role, wanted.type, own].join(":"),
      mount: [(given ? options.user : parts(podLabel)[0]) || fileUser, fileRole, fileType, own].join(":"),
    };
  }

  /** What a container or pod that is there already has. */
  reserve(label: string): void {
    if (label !== "") this.#used.add(parts(label)[3]);
  }

  /** Its categories may be given to others. */
  release(label: string): void {
    if (label !== "") this.#used.delete(parts(label)[3]);
  }

  #categoriesOf(): string {
    // Drawn by lot, so that most draws hit a free pair; a full table is found by trying each.
    for (let tries = 0; tries < 1000; tries++) {
      const [a, b] = [0, 0].map(() => Math.floor(Math.random() * this.#categories)).sort((x, y) => x - y);
      const pair = `c${a},c${b}`;
      if (a !== b && ![...this.#used].some((level) => level.endsWith(`:${pair}`))) return pair;
    }
    throw unknown("all SELinux categories are in use: raise selinux_category_range, or remove pods");
  }
}

function podOptions(label: string, base: { user: string; role: string; type: string }) {
  if (label === "") return { ...base, level: "" };
  const [user, role, type, level] = parts(label);
  return { user, role, type, level };
}

/** Of this host; undefined if SELinux isn't on, or its policy says nothing of containers. */
export function readSelinuxPolicy(root = "/"): SelinuxPolicy | undefined {
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(join(root, path), "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES")) return undefined;
      throw error;
    }
  };
  return read("/sys/fs/selinux/enforce") === undefined ? undefined : containerPolicy(read);
}

/** What the host's policy says of containers; undefined if nothing. `read`: a file's text, undefined where there is none. */
export function containerPolicy(read: (path: string) => string | undefined): SelinuxPolicy | undefined {
  const name = /^SELINUXTYPE=(\S+)/m.exec(read("/etc/selinux/config") ?? "")?.[1];
  if (name === undefined) return undefined;
  // The first comes with a policy of containers (container-selinux), the other with the host's own.
  const ofContainers = read("/usr/share/containers/selinux/contexts");
  const contexts = ofContainers ?? read(`/etc/selinux/${name}/contexts/lxc_contexts`) ?? "";
  const process = /^process\s*=\s*"?([^"\s]+)"?/m.exec(contexts)?.[1];
  const file = /^file\s*=\s*"?([^"\s]+)"?/m.exec(contexts)?.[1];
  return process === undefined || file === undefined ? undefined : { process, file };
}
