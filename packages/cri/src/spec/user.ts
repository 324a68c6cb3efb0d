/** Who a container's process is: from the request, else from the image; and in which groups. */

import {
  type Int64Value,
  type LinuxContainerSecurityContext,
  LinuxContainerUser,
  SupplementalGroupsPolicy,
} from "@hull/api/gen/cri/v1/cri";
import { HullError, unknown } from "@hull/errors";
import { resolveUser, type SpecUser, type UserFiles } from "@hull/oci/spec";

type Asked = Pick<
  LinuxContainerSecurityContext,
  "runAsUsername" | "supplementalGroups" | "supplementalGroupsPolicy"
> & { runAsUser: Int64Value | undefined; runAsGroup: Int64Value | undefined };

/** `name|uid[:gid]` of the request; empty if it names nobody. @throws Unknown for a group without a user */
export function requestedUser({ runAsUsername, runAsUser, runAsGroup }: Asked): string {
  const user = runAsUsername || String(runAsUser?.value ?? "");
  const group = runAsGroup === undefined ? "" : String(runAsGroup.value);
  if (user === "") {
    if (group !== "")
      throw unknown(`failed to generate user string: user group ${JSON.stringify(group)} is specified without user`);
    return "";
  }
  return group === "" ? user : `${user}:${group}`;
}

/** True if the root file system's users and groups matter: `specUser` needs them. */
export function needsUserFiles(asked: Asked | undefined, imageUser: string): boolean {
  if (asked?.supplementalGroupsPolicy !== SupplementalGroupsPolicy.Strict) return true;
  const user = requestedUser(asked) || imageUser;
  return user !== "" && !/^\d+:\d+$/.test(user);
}

/**
 * Ids for the spec. Groups are sorted; with policy Merge they are those that the image's /etc/group lists for the user and those of the
 * request, with Strict those of the request alone.
 * @throws Unknown as containerd, which doesn't class these
 */
export function specUser(asked: Asked | undefined, imageUser: string, files: UserFiles): SpecUser {
  const policy = asked?.supplementalGroupsPolicy ?? SupplementalGroupsPolicy.Merge;
  if (policy !== SupplementalGroupsPolicy.Merge && policy !== SupplementalGroupsPolicy.Strict)
    throw unknown(`not implemented in this containerd release: SupplementalGroupsPolicy=${policy}`);
  const given = (asked?.supplementalGroups ?? []).map((group) => {
    if (group < 0n || group > 2n ** 32n - 2n) throw unknown(`supplemental group ${group} is out of range`);
    return Number(group);
  });
  const wanted = (asked === undefined ? "" : requestedUser(asked)) || imageUser;
  const { uid, gid } = wanted === "" ? { uid: 0, gid: 0 } : lookedUp(wanted, files);
  const own = wanted === "" && policy === SupplementalGroupsPolicy.Strict ? [] : [gid];
  const listed = policy === SupplementalGroupsPolicy.Merge ? listedGroups(wanted.split(":")[0] || "0", files) : [];
  const additionalGids = [...new Set([...own, ...listed, ...given])].sort((a, b) => a - b);
  return { uid, gid, ...(additionalGids.length === 0 ? {} : { additionalGids }) };
}

/** What runc takes at most. */
const largestId = 2 ** 31 - 1;

function lookedUp(user: string, files: UserFiles): SpecUser {
  const [name = "", group = "", ...rest] = user.split(":");
  if (rest.length > 0) throw unknown(`invalid USER value ${user}`);
  for (const [kind, part] of Object.entries({ uid: name, gid: group }))
    if (/^[+-]?\d+$/.test(part) && (Number(part) < 0 || Number(part) > largestId))
      throw unknown(`invalid USER value ${JSON.stringify(user)}: ${kind} out of range`);
  try {
    return resolveUser(user, files);
  } catch (error) {
    const { message } = HullError.from(error);
    throw unknown(`no ${message.startsWith("group") ? "groups" : "users"} found: ${message}`);
  }
}

/** Groups that list the user, but not the one that is called as it. An unknown user is in none. */
function listedGroups(user: string, files: UserFiles): number[] {
  const lines = (text: string | undefined) => (text ?? "").split("\n").map((line) => line.trim().split(":"));
  const name = /^\d+$/.test(user)
    ? lines(files.passwd).find(([, , uid]) => Number(uid) === Number(user) && uid !== "")?.[0]
    : user;
  if (name === undefined || name === "") return [];
  return lines(files.group).flatMap(([group, , gid, members]) =>
    group !== name && /^\d{1,10}$/.test(gid ?? "") && (members ?? "").split(",").includes(name) ? [Number(gid)] : [],
  );
}

/** As ContainerStatus shows it. */
export const containerUser = ({ uid, gid, additionalGids = [] }: SpecUser): LinuxContainerUser =>
  LinuxContainerUser.fromPartial({
    uid: BigInt(uid),
    gid: BigInt(gid),
    supplementalGroups: additionalGids.map(BigInt),
  });
