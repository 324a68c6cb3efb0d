/** Which AppArmor profile a container has: as with Docker the default one, where the host has AppArmor and the container isn't privileged. */

import { profileFor } from "@hull/engine/apparmor/index";
import type { RunFlags } from "./run-flags.ts";

/** Values of `--security-opt` that choose a profile. */
export const appArmorOption = /^apparmor[=:](.+)$/;

/** The profile's name; undefined for a container that isn't confined. @throws as `profileFor` */
export async function appArmorProfile({
  "security-opt": options,
  privileged,
}: Pick<RunFlags, "security-opt" | "privileged">): Promise<string | undefined> {
  const wanted = options.map((option) => appArmorOption.exec(option)?.[1]).findLast((name) => name !== undefined);
  return wanted === undefined && privileged ? undefined : await profileFor(wanted);
}
