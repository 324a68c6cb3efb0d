/** Users and groups of a rootfs, from the texts of its `/etc/passwd` and `/etc/group` (passwd(5), group(5)). */

import { invalidArgument, notFound } from "@hull/errors";
import type { SpecUser } from "./types.ts";

/** The two files' texts; a missing file is empty. */
export interface UserFiles {
  passwd?: string;
  group?: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

const maxId = 2 ** 31 - 1;

function id(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= maxId ? number : undefined;
}

function fields(text: string | undefined): string[][] {
  return (text ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function users(text: string | undefined): PasswdEntry[] {
  return fields(text).flatMap(([name, , uidText, gidText]) => {
    const [uid, gid] = [id(uidText), id(gidText)];
    return name === undefined || uid === undefined || gid === undefined ? [] : [{ name, uid, gid }];
  });
}

function groups(text: string | undefined): GroupEntry[] {
  return fields(text).flatMap(([name, , gidText, members]) => {
    const gid = id(gidText);
    return name === undefined || gid === undefined
      ? []
      : [{ name, gid, members: (members ?? "").split(",").filter((member) => member !== "") }];
  });
}

/**
 * Who `user` (`name|uid[:name|gid]`, empty: root) is in a rootfs. Without a group it is the user's own, 0 for an unknown
 * uid; the groups that list the user come too. As containerd does, the group itself is repeated among the additional ones.
 * @throws InvalidArgument if it is malformed; NotFound if a name isn't in the files
 */
export function resolveUser(user: string, files: UserFiles): SpecUser {
  const [userPart = "", groupPart, ...rest] = user.split(":");
  if (rest.length > 0) throw invalidArgument(`user "${user}" must be of the form "user[:group]"`);
  const wanted = userPart === "" ? "0" : userPart;
  const all = users(files.passwd);
  const uid = id(wanted);
  const entry = all.find((candidate) => candidate.name === wanted) ?? all.find((candidate) => candidate.uid === uid);
  if (entry === undefined && uid === undefined) {
    if (/^-?[0-9]+$/.test(wanted)) throw invalidArgument(`user id "${wanted}" is not between 0 and ${maxId}`);
    throw notFound(`user "${wanted}" is not in the image's /etc/passwd`);
  }
  const known = groups(files.group);
  let gid = entry?.gid ?? 0;
  if (groupPart !== undefined && groupPart !== "") {
    const found = known.find((candidate) => candidate.name === groupPart)?.gid ?? id(groupPart);
    if (found === undefined) throw notFound(`group "${groupPart}" is not in the image's /etc/group`);
    gid = found;
  }
  const listed = known
    .filter((group) => entry !== undefined && group.gid !== gid && group.members.includes(entry.name))
    .map((group) => group.gid);
  return { uid: entry?.uid ?? uid ?? 0, gid, additionalGids: [gid, ...listed] };
}
