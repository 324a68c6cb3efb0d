/** Which AppArmor profile a container has: as with Docker the default one, where the host has AppArmor and the container isn't privileged. */

import { hasAppArmor, isProfileLoaded, loadDefaultProfile, ownProfileName } from "@hull/engine/apparmor/index";
import { notFound } from "@hull/errors";
import type { RunFlags } from "./run-flags.ts";

/** Values of `--security-opt` that choose a profile. */
export const appArmorOption = /^apparmor[=:](.+)$/;

/**
 * The profile's name; undefined for a container that isn't confined.
 * @throws FailedPrecondition for a wanted profile where there is no AppArmor, or if the default one can't be loaded; NotFound for one that the
 * kernel doesn't have
 */
export async function appArmorProfile({
  "security-opt": options,
  privileged,
}: Pick<RunFlags, "security-opt" | "privileged">): Promise<string | undefined> {
  const wanted = options.map((option) => appArmorOption.exec(option)?.[1]).findLast((name) => name !== undefined);
  if (wanted === "unconfined") return undefined;
  if (wanted !== undefined) {
    if (!isProfileLoaded(wanted))
      throw notFound(`AppArmor profile "${wanted}" is not known to the kernel: load it by apparmor_parser`);
    return wanted;
  }
  // Only root may look, and load.
  if (privileged || process.getuid?.() !== 0 || !hasAppArmor()) return undefined;
  await loadDefaultProfile(ownProfileName);
  return ownProfileName;
}
