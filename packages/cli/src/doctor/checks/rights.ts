import { type Check, fail, ok, warn } from "../finding.ts";

/** What the daemon, its shims and its runtimes do that takes a right of its own. */
const needed = [
  "CAP_SYS_ADMIN",
  "CAP_NET_ADMIN",
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_SETUID",
  "CAP_SETGID",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
];

const user: Check = ({ isRoot }) =>
  isRoot
    ? ok("user", "root")
    : fail(
        "user",
        "not root: pods need namespaces, mounts and control groups that only root makes",
        "run hull as root",
      );

const capabilities: Check = ({ capabilities: own }) => {
  const missing = needed.filter((name) => !own.includes(name));
  if (missing.length === 0) return ok("capabilities", `${own.length}, with all that are needed`);
  return fail(
    "capabilities",
    `without ${missing.join(", ")}`,
    "give root all capabilities: don't run it in a restricted container or service",
  );
};

const oomScore: Check = ({ capabilities: own, read }) => {
  const score = read("/proc/self/oom_score_adj")?.trim() ?? "0";
  if (own.includes("CAP_SYS_RESOURCE")) return ok("OOM score", "may be lowered");
  const detail = `can't be lowered below ${score}, for want of CAP_SYS_RESOURCE: when memory runs out, important pods are killed like all others`;
  return warn("OOM score", detail, "give root CAP_SYS_RESOURCE; without it hull keeps to what it may");
};

export const rightsChecks: readonly Check[] = [user, capabilities, oomScore];
