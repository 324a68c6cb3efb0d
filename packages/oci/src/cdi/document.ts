/** A CDI spec file's content, checked (CDI specification, "CDI JSON Specification", versions 0.1.0 to 1.1.0). */

import { invalidArgument } from "@hull/errors";
import type { IntelRdt } from "../spec/types.ts";
import { isDeviceName, parseKind } from "./name.ts";

/** What a device, or any device of a file, changes of a container. */
export interface ContainerEdits {
  env: string[];
  deviceNodes: CdiDeviceNode[];
  netDevices: { hostInterfaceName: string; name: string }[];
  mounts: { hostPath: string; containerPath: string; options?: string[]; type?: string }[];
  hooks: CdiHook[];
  intelRdt?: IntelRdt;
  additionalGids: number[];
}

export interface CdiDeviceNode {
  path: string;
  hostPath?: string;
  type?: "b" | "c" | "u" | "p";
  major?: number;
  minor?: number;
  fileMode?: number;
  /** Some of `rwm`, or `none`. */
  permissions?: string;
  uid?: number;
  gid?: number;
}

export const hookNames = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export interface CdiHook {
  hookName: (typeof hookNames)[number];
  path: string;
  args?: string[];
  env?: string[];
  /** seconds */
  timeout?: number;
}

export interface CdiDocument {
  version: string;
  vendor: string;
  class: string;
  edits: ContainerEdits;
  devices: ReadonlyMap<string, ContainerEdits>;
}

const versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/**
 * Reads the parsed JSON or YAML of a spec file. Fields that the specification doesn't have are errors, as are fields newer than the
 * version that the file names.
 * @throws InvalidArgument naming the field
 */
export function parseCdiDocument(value: unknown): CdiDocument {
  const file = record(value, "the file", ["cdiVersion", "kind", "annotations", "devices", "containerEdits"]);
  const version = text(file.cdiVersion, "cdiVersion").replace(/^v/, "");
  if (!versions.includes(version)) throw invalidArgument(`cdiVersion "${version}" is none of ${versions.join(", ")}`);
  const kind = text(file.kind, "kind");
  const needs = new Needs();
  const { vendor, class: name } = parseKind(kind);
  if (name.includes(".")) needs.atLeast("0.6.0", 'a "." in the class');
  annotations(file.annotations, "annotations", needs);
  const edits = containerEdits(file.containerEdits, "containerEdits", needs);
  const devices = new Map<string, ContainerEdits>();
  for (const [index, item] of list(file.devices, "devices").entries()) {
    const where = `devices[${index}]`;
    const device = record(item, where, ["name", "annotations", "containerEdits"]);
    const id = text(device.name, `${where}.name`);
    if (!isDeviceName(id)) throw invalidArgument(`${where}.name "${id}" is no name of a device`);
    if (/^\d/.test(id)) needs.atLeast("0.5.0", `the digit at the beginning of the device name "${id}"`);
    if (devices.has(id)) throw invalidArgument(`invalid spec, multiple device "${id}"`);
    annotations(device.annotations, `${where}.annotations`, needs);
    const own = containerEdits(device.containerEdits, `${where}.containerEdits`, needs);
    if (isEmpty(own)) throw invalidArgument(`device "${id}" changes nothing: its containerEdits are empty`);
    devices.set(id, own);
  }
  if (devices.size === 0) throw invalidArgument("invalid spec, no devices");
  needs.check(version);
  return { version, vendor, class: name, edits, devices };
}

/** The newest version that anything in a file needs. */
class Needs {
  #version = "0.1.0";
  #why = "";

  atLeast(version: string, why: string): void {
    if (versions.indexOf(version) <= versions.indexOf(this.#version)) return;
    this.#version = version;
    this.#why = why;
  }

  check(version: string): void {
    if (versions.indexOf(version) < versions.indexOf(this.#version))
      throw invalidArgument(`the spec version must be at least v${this.#version} for ${this.#why}, not ${version}`);
  }
}

function containerEdits(value: unknown, where: string, needs: Needs): ContainerEdits {
  const keys = ["env", "deviceNodes", "netDevices", "mounts", "hooks", "intelRdt", "additionalGids"];
  const edits = record(value ?? {}, where, keys);
  const each = <T>(key: string, read: (item: unknown, where: string) => T): T[] =>
    list(edits[key], `${where}.${key}`).map((item, index) => read(item, `${where}.${key}[${index}]`));
  const rdt = edits.intelRdt === undefined ? undefined : intelRdt(edits.intelRdt, `${where}.intelRdt`, needs);
  if (edits.intelRdt !== undefined) needs.atLeast("0.7.0", "intelRdt");
  if (edits.additionalGids !== undefined) needs.atLeast("0.7.0", "additionalGids");
  const netDevices = each("netDevices", netDevice);
  if (netDevices.length > 0) needs.atLeast("1.1.0", "netDevices");
  return {
    env: each("env", variable),
    deviceNodes: each("deviceNodes", (item, at) => deviceNode(item, at, needs)),
    netDevices,
    mounts: each("mounts", (item, at) => mount(item, at, needs)),
    hooks: each("hooks", hook),
    ...(rdt === undefined ? {} : { intelRdt: rdt }),
    additionalGids: each("additionalGids", id),
  };
}

const isEmpty = ({ intelRdt: rdt, ...lists }: ContainerEdits): boolean =>
  rdt === undefined && Object.values(lists).every((items) => items.length === 0);

function deviceNode(value: unknown, where: string, needs: Needs): CdiDeviceNode {
  const keys = ["path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"];
  const node = record(value, where, keys);
  const path = text(node.path, `${where}.path`);
  if (path === "") throw invalidArgument("invalid (empty) device path");
  if (node.hostPath !== undefined) needs.atLeast("0.5.0", "hostPath");
  const type = optional(node.type, `${where}.type`, text) ?? "";
  if (!["", "b", "c", "u", "p"].includes(type)) throw invalidArgument(`device "${path}": invalid type "${type}"`);
  const permissions = optional(node.permissions, `${where}.permissions`, text);
  if (permissions !== undefined && permissions !== "none" && !/^[rwm]*$/.test(permissions))
    throw invalidArgument(`device "${path}": invalid permissions "${permissions}"`);
  return {
    path,
    ...given("hostPath", optional(node.hostPath, `${where}.hostPath`, text)),
    ...(type === "" ? {} : { type: type as "b" | "c" | "u" | "p" }),
    ...given("major", optional(node.major, `${where}.major`, integer)),
    ...given("minor", optional(node.minor, `${where}.minor`, integer)),
    ...given("fileMode", optional(node.fileMode, `${where}.fileMode`, id)),
    ...given("permissions", permissions),
    ...given("uid", optional(node.uid, `${where}.uid`, id)),
    ...given("gid", optional(node.gid, `${where}.gid`, id)),
  };
}

function netDevice(value: unknown, where: string): { hostInterfaceName: string; name: string } {
  const device = record(value, where, ["hostInterfaceName", "name"]);
  return {
    hostInterfaceName: nonEmpty(device.hostInterfaceName, `${where}.hostInterfaceName`),
    name: nonEmpty(device.name, `${where}.name`),
  };
}

function mount(value: unknown, where: string, needs: Needs): ContainerEdits["mounts"][number] {
  const item = record(value, where, ["hostPath", "containerPath", "options", "type"]);
  if (item.type !== undefined) needs.atLeast("0.4.0", "the type of a mount");
  return {
    hostPath: nonEmpty(item.hostPath, `${where}.hostPath`),
    containerPath: nonEmpty(item.containerPath, `${where}.containerPath`),
    ...given("options", optional(item.options, `${where}.options`, texts)),
    ...given("type", optional(item.type, `${where}.type`, text)),
  };
}

function hook(value: unknown, where: string): CdiHook {
  const item = record(value, where, ["hookName", "path", "args", "env", "timeout"]);
  const name = text(item.hookName, `${where}.hookName`);
  const hookName = hookNames.find((known) => known === name);
  if (hookName === undefined) throw invalidArgument(`invalid hook name "${name}"`);
  const path = nonEmpty(item.path, `${where}.path`);
  const env = optional(item.env, `${where}.env`, texts);
  for (const entry of env ?? []) variable(entry, `${where}.env`);
  return {
    hookName,
    path,
    ...given("args", optional(item.args, `${where}.args`, texts)),
    ...given("env", env),
    ...given("timeout", optional(item.timeout, `${where}.timeout`, integer)),
  };
}

function intelRdt(value: unknown, where: string, needs: Needs): IntelRdt {
  const keys = ["closID", "l3CacheSchema", "memBwSchema", "schemata", "enableMonitoring"];
  const rdt = record(value, where, keys);
  const closID = optional(rdt.closID, `${where}.closID`, text);
  if (closID !== undefined && closID !== "/" && (closID.length >= 4096 || /^\.\.?$|[/\n]/.test(closID)))
    throw invalidArgument(`${where}.closID "${closID}" is invalid: it names a directory of resctrl`);
  if (rdt.schemata !== undefined || rdt.enableMonitoring === true) needs.atLeast("1.1.0", "schemata and monitoring");
  const monitoring = rdt.enableMonitoring ?? false;
  if (typeof monitoring !== "boolean") throw invalidArgument(`${where}.enableMonitoring is neither true nor false`);
  return {
    ...given("closID", closID),
    ...given("l3CacheSchema", optional(rdt.l3CacheSchema, `${where}.l3CacheSchema`, text)),
    ...given("memBwSchema", optional(rdt.memBwSchema, `${where}.memBwSchema`, text)),
    ...given("schemata", optional(rdt.schemata, `${where}.schemata`, texts)),
    ...(monitoring ? { enableMonitoring: true } : {}),
  };
}

function annotations(value: unknown, where: string, needs: Needs): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalidArgument(`${where} is no object`);
  if (Object.keys(value).length > 0) needs.atLeast("0.6.0", "annotations");
  let bytes = 0;
  for (const [key, item] of Object.entries(value)) {
    if (!/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(key))
      throw invalidArgument(`${where} has the key "${key}", which is no qualified name`);
    bytes += key.length + text(item, `${where}.${key}`).length;
  }
  if (bytes > 256 * 1024) throw invalidArgument(`${where} are too large: ${bytes} bytes, at most 262144`);
}

function variable(value: unknown, where: string): string {
  const entry = text(value, where);
  if (entry.indexOf("=") <= 0) throw invalidArgument(`invalid environment variable "${entry}"`);
  return entry;
}

const given = <K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]?: T });

function record(value: unknown, where: string, keys: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalidArgument(`${where} is no object`);
  for (const key of Object.keys(value))
    if (!keys.includes(key)) throw invalidArgument(`${where}: unknown field "${key}"`);
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
}

function list(value: unknown, where: string): unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalidArgument(`${where} is no list`);
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== "string") throw invalidArgument(`${where} is ${value === undefined ? "missing" : "no string"}`);
  return value;
}

function nonEmpty(value: unknown, where: string): string {
  const found = text(value ?? "", where);
  if (found === "") throw invalidArgument(`${where} is empty`);
  return found;
}

const texts = (value: unknown, where: string): string[] => list(value, where).map((item) => text(item, where));

function integer(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw invalidArgument(`${where} is no whole number`);
  return value;
}

function id(value: unknown, where: string): number {
  const number = integer(value, where);
  if (number < 0 || number > 0xffff_ffff) throw invalidArgument(`${where} is ${number}, not between 0 and 4294967295`);
  return number;
}

function optional<T>(value: unknown, where: string, read: (value: unknown, where: string) => T): T | undefined {
  return value === undefined ? undefined : read(value, where);
}
