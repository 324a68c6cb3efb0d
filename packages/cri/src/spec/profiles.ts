/** Which seccomp and AppArmor profile a container asks for, by the newer fields or by the deprecated texts. */

import { SecurityProfile_ProfileType as ProfileType, type SecurityProfile } from "@hull/api/gen/cri/v1/cri";
import { unknown } from "@hull/errors";
import type { CriRuntimeConfig } from "../config.ts";
import { within } from "../wrap.ts";

/** A profile by name or path, the runtime's own, or none. */
export type WantedProfile = { readonly name: string } | "default" | "unconfined";

const localPrefix = "localhost/";

/** `runtime/default`, `docker/default`, `unconfined`, `localhost/<name>`. */
function profileOfText(text: string): SecurityProfile {
  if (text === "runtime/default" || text === "docker/default")
    return { profileType: ProfileType.RuntimeDefault, localhostRef: "" };
  if (text === "unconfined") return { profileType: ProfileType.Unconfined, localhostRef: "" };
  if (!text.startsWith(localPrefix)) throw unknown(`invalid profile ${JSON.stringify(text)}`);
  return { profileType: ProfileType.Localhost, localhostRef: text.slice(localPrefix.length) };
}

function wanted(kind: "seccomp" | "apparmor", { profileType, localhostRef }: SecurityProfile): WantedProfile {
  if (profileType !== ProfileType.Localhost && localhostRef !== "")
    throw unknown(`${kind} config invalid LocalhostRef must only be set if ProfileType is Localhost`);
  switch (profileType) {
    case ProfileType.Unconfined:
      return "unconfined";
    case ProfileType.RuntimeDefault:
      return "default";
    case ProfileType.Localhost:
      return { name: localhostRef.startsWith(localPrefix) ? localhostRef.slice(localPrefix.length) : localhostRef };
    default:
      throw unknown(`${kind} unknown ProfileType`);
  }
}

const inSeccomp = "failed to generate seccomp spec opts";
const inAppArmor = "failed to generate apparmor spec opts";

function given(context: string, profile: SecurityProfile | undefined, text: string): SecurityProfile | undefined {
  return within(context, () => profile ?? (text === "" ? undefined : profileOfText(text)));
}

interface SeccompAsked {
  readonly seccomp: SecurityProfile | undefined;
  /** Deprecated text. */
  readonly seccompProfilePath: string;
  readonly privileged: boolean;
}

/** Privileged containers have none; others that don't ask have what `unset_seccomp_profile` says, which is none by default. @throws Unknown */
export function wantedSeccomp(
  asked: SeccompAsked | undefined,
  { unset_seccomp_profile: unset }: Pick<CriRuntimeConfig, "unset_seccomp_profile">,
  supported: boolean,
): WantedProfile {
  const profile = given(inSeccomp, asked?.seccomp, asked?.seccompProfilePath || unset);
  if (asked?.privileged === true || profile === undefined) return "unconfined";
  if (!supported && profile.profileType !== ProfileType.Unconfined)
    throw unknown(`${inSeccomp}: seccomp is not supported`);
  return within(inSeccomp, () => wanted("seccomp", profile));
}

interface AppArmorAsked {
  readonly apparmor: SecurityProfile | undefined;
  /** Deprecated text. */
  readonly apparmorProfile: string;
  readonly privileged: boolean;
}

/** Where the host has AppArmor, who doesn't ask has the default profile, unless privileged; where it hasn't, asking for one is an error. @throws Unknown */
export function wantedAppArmor(asked: AppArmorAsked | undefined, supported: boolean): WantedProfile {
  const profile = given(inAppArmor, asked?.apparmor, asked?.apparmorProfile ?? "");
  if (!supported) {
    if (profile !== undefined && profile.profileType !== ProfileType.Unconfined)
      throw unknown(`${inAppArmor}: apparmor is not supported`);
    return "unconfined";
  }
  const which = within(inAppArmor, () => (profile === undefined ? "default" : wanted("apparmor", profile)));
  return which === "default" && asked?.privileged === true ? "unconfined" : which;
}
