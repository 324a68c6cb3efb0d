/**
 * How containers of one network find each other: each has its /etc/hosts, with a part that hull writes. A container that comes or goes is
 * written into, or out of, those of all that run.
 *
 *   <directory>/<network>/<key>.json   a container that is on the network now
 *
 * The directory goes with the machine, as the containers do. By what a container is to be found is in a file of its own, which stays.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { close, open, openFlags } from "@hull/sys/fd";
import { lock } from "@hull/sys/lock";

/** How a container finds others, and they it. */
export interface Naming {
  /** What the others call it: its name first. */
  readonly names: readonly string[];
  /** What it calls itself. */
  readonly hostname: string;
  /** Its /etc/hosts, as the host sees it. */
  readonly file: string;
}

/** A container that is on a network. */
export interface Member extends Naming {
  /** Of its namespace and id: unique on the network. */
  readonly key: string;
  readonly addresses: readonly string[];
}

/** As docker writes it, before what is added. */
export const hostsHead = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

const startOf = (network: string): string => `# hull: network ${network}\n`;
const endOf = (network: string): string => `# hull: end of network ${network}\n`;

/** Where the names are of networks whose namespaces are held in `netns`. */
export const namesDirectory = (netns: string): string => join(dirname(netns), "names");

/** Keeps by what a container is found whenever it is on its network. */
export function writeNaming(file: string, naming: Naming): void {
  writeFileSync(file, JSON.stringify(naming), { mode: 0o600 });
}

export const readNaming = (file: string): Naming => JSON.parse(readFileSync(file, "utf8")) as Naming;

/** The container is found by its names from now on, if the network has names; itself it finds by its host name anyway. */
export function joinNames(directory: string, network: string, member: Member, { peers }: { peers: boolean }): void {
  if (!peers) {
    writePart(network, member, []);
    return;
  }
  changed(join(directory, network), (folder) => write(folder, member));
}

/** The container is found no more. */
export function leaveNames(directory: string, network: string, key: string): void {
  const folder = join(directory, network);
  const member = read(folder, fileOf(key));
  if (member === undefined) return;
  changed(folder, () => rmSync(join(folder, fileOf(key)), { force: true }));
  writePart(network, member, undefined);
}

/** The container's first name is another from now on, whether it runs or not. `naming`: its file of `writeNaming`. */
export function renameMember(
  directory: string,
  network: string,
  { key, naming, name }: { key: string; naming: string; name: string },
): void {
  if (!existsSync(naming)) return;
  const renamed = ({ names: [, ...others] }: Naming): Pick<Naming, "names"> => ({ names: [name, ...others] });
  const kept = readNaming(naming);
  writeNaming(naming, { ...kept, ...renamed(kept) });
  const folder = join(directory, network);
  if (!existsSync(join(folder, fileOf(key)))) return;
  changed(folder, () => {
    const member = read(folder, fileOf(key));
    if (member !== undefined) write(folder, { ...member, ...renamed(member) });
  });
}

/** The containers that are on a network now. */
export function membersOf(directory: string, network: string): Member[] {
  const folder = join(directory, network);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => read(folder, file) ?? []);
}

function write(folder: string, member: Member): void {
  writeFileSync(join(folder, fileOf(member.key)), JSON.stringify(member), { mode: 0o600 });
}

const fileOf = (key: string): string => `${key}.json`;

function read(folder: string, file: string): Member | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, file), "utf8")) as Member;
  } catch {
    // It left meanwhile, or the machine stopped while it was written.
    return undefined;
  }
}

/** One process at a time changes who is there, and tells all of them. Waits in the thread: this is for processes that do nothing else. */
function changed(folder: string, change: (folder: string) => void): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = open(join(folder, "lock"), openFlags.readWrite | openFlags.create, 0o600);
  try {
    lock(fd);
    change(folder);
    const network = basename(folder);
    const members = membersOf(dirname(folder), network);
    for (const member of members)
      writePart(
        network,
        member,
        members.filter(({ key }) => key !== member.key),
      );
  } finally {
    close(fd);
  }
}

/** Writes the part for a network in a container's /etc/hosts, or takes it out; what else is there stays. */
function writePart(network: string, member: Member, peers: readonly Member[] | undefined): void {
  // A container that is being removed.
  if (!existsSync(member.file)) return;
  // Of several networks each writes its own part. Not the file itself is locked: the container could hold that for ever.
  const fd = open(`${member.file}.lock`, openFlags.readWrite | openFlags.create, 0o600);
  try {
    lock(fd);
    const text = readFileSync(member.file, "utf8");
    const [start, end] = [startOf(network), endOf(network)];
    const from = text.indexOf(start);
    const to = text.indexOf(end);
    const rest = from < 0 || to < from ? text : text.slice(0, from) + text.slice(to + end.length);
    overwrite(member.file, peers === undefined ? rest : `${rest}${start}${linesOf(member, peers)}${end}`);
  } finally {
    close(fd);
  }
}

/** In place, since the file is what the container has mounted, and never empty, since a program may look up a name at any time. */
function overwrite(file: string, text: string): void {
  const fd = openSync(file, "r+");
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
    ftruncateSync(fd, bytes.length);
  } finally {
    closeSync(fd);
  }
}

function linesOf(member: Member, peers: readonly Member[]): string {
  const lineOf = (address: string, names: readonly string[]): string => `${address}\t${names.join(" ")}\n`;
  return [
    ...member.addresses.map((address) => lineOf(address, [...new Set([member.hostname, ...member.names])])),
    ...peers.flatMap(({ addresses, names }) => addresses.map((address) => lineOf(address, names))),
  ].join("");
}
