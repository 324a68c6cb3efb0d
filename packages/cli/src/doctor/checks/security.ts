import { containerPolicy } from "@hull/cri/spec/selinux";
import { type Check, fail, ok, warn } from "../finding.ts";

const appArmor: Check = ({ exists, read, find }, { cri }) => {
  const isOn =
    exists("/sys/kernel/security/apparmor") && read("/sys/module/apparmor/parameters/enabled")?.startsWith("Y");
  if (isOn !== true) return ok("AppArmor", "not in this kernel: pods that ask for a profile are refused");
  if (cri.runtime.disable_apparmor) return ok("AppArmor", "there, and switched off (disable_apparmor)");
  if (find("apparmor_parser") !== undefined) return ok("AppArmor", "on");
  const detail = "on, but apparmor_parser is missing: containers can't be given their default profile, and don't start";
  return fail("AppArmor", detail, "install the package apparmor, or set disable_apparmor = true");
};

const selinux: Check = ({ read }, { cri }) => {
  const enforce = read("/sys/fs/selinux/enforce")?.trim();
  if (enforce === undefined) {
    if (!cri.runtime.enable_selinux) return ok("SELinux", "not in this kernel");
    return fail("SELinux", "asked for (enable_selinux), and not in this kernel", "set enable_selinux = false");
  }
  const mode = enforce === "1" ? "enforcing" : "permissive";
  if (cri.runtime.enable_selinux && containerPolicy(read) === undefined)
    return warn(
      "SELinux",
      `${mode}, and its policy says nothing of containers: they have no labels of their own`,
      "install a policy of containers (container-selinux), or set enable_selinux = false",
    );
  if (cri.runtime.enable_selinux) return ok("SELinux", mode);
  return warn(
    "SELinux",
    `${mode}, and containers have no labels of their own`,
    'set enable_selinux = true in plugins."io.containerd.cri.v1.runtime"',
  );
};

export const securityChecks: readonly Check[] = [appArmor, selinux];
