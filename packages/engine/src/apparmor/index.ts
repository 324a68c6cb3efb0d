/**
 * AppArmor: which profiles the kernel has, and the default one for containers, made and loaded when it is first wanted.
 *
 *   hasAppArmor ──► isProfileLoaded(name) ──no──► loadDefaultProfile(name): defaultProfile ──► apparmor_parser ──► the kernel
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failedPrecondition, invalidArgument, notFound } from "@hull/errors";
import { startProgram, which } from "@hull/sys/program";
import { defaultProfile } from "./profile.ts";

export { defaultProfile, type ProfileSurroundings } from "./profile.ts";

/** The default profile of containers that hull's own commands make. */
export const ownProfileName = "hull-default";

const policyDirectory = "/etc/apparmor.d";
const kernelDirectory = "/sys/kernel/security/apparmor";
const parsers = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];

/** True if the kernel confines by AppArmor, the parser is installed, and this isn't a container of somebody else's itself. */
export function hasAppArmor(): boolean {
  return (
    existsSync(kernelDirectory) &&
    (process.env.container ?? "") === "" &&
    parsers.some((path) => existsSync(path)) &&
    textOf("/sys/module/apparmor/parameters/enabled").startsWith("Y")
  );
}

/** True if the kernel has a profile of this name. @throws FailedPrecondition where there is no AppArmor */
export function isProfileLoaded(name: string): boolean {
  let profiles: string;
  try {
    profiles = readFileSync(join(kernelDirectory, "profiles"), "utf8");
  } catch (cause) {
    throw failedPrecondition(`AppArmor profile "${name}": this kernel has no AppArmor, or it is turned off`, { cause });
  }
  return profiles.split("\n").some((line) => line.startsWith(`${name} (`));
}

/**
 * Has the kernel know the default profile by this name; one of this name that it knows stays.
 * @throws InvalidArgument for a name that can't be one; FailedPrecondition where there is no AppArmor, or if the policy can't be loaded;
 * NotFound if the parser isn't installed
 */
export async function loadDefaultProfile(name: string): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    throw invalidArgument(
      `"${name}" can't be the name of an AppArmor profile: letters, digits, ".", "_" and "-" can be in it`,
    );
  if (isProfileLoaded(name)) return;
  const directory = mkdtempSync(join(tmpdir(), "hull-apparmor-"));
  try {
    const file = join(directory, "profile");
    const rootlessKit = which("rootlesskit");
    const policy = defaultProfile(name, {
      has: (path) => existsSync(join(policyDirectory, path)),
      daemonProfile: ownProfile(),
      ...(rootlessKit === null ? {} : { rootlessKit }),
    });
    writeFileSync(file, policy, { mode: 0o600 });
    await runParser(name, ["-Kr", file]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * The profile of a container that hull's own commands or a program make; undefined for one that isn't confined.
 * @param wanted its name, or `unconfined`; unless told the default one, which is loaded, where the host has AppArmor and this process is root's
 * @throws FailedPrecondition for a wanted one where there is no AppArmor, or if the default one can't be loaded; NotFound for one that the
 * kernel doesn't have
 */
export async function profileFor(wanted: string | undefined): Promise<string | undefined> {
  if (wanted === "unconfined") return undefined;
  if (wanted !== undefined) {
    if (!isProfileLoaded(wanted))
      throw notFound(`AppArmor profile "${wanted}" is not known to the kernel: load it by apparmor_parser`);
    return wanted;
  }
  // Only root may look, and load.
  if (process.getuid?.() !== 0 || !hasAppArmor()) return undefined;
  await loadDefaultProfile(ownProfileName);
  return ownProfileName;
}

/**
 * Loads the profile of hull's own commands for a container that names it: the kernel may have been started since the container was made.
 * @param spec the container's, JSON @throws as `loadDefaultProfile`
 */
export async function loadOwnProfileFor(spec: Uint8Array): Promise<void> {
  if (Buffer.from(spec.buffer, spec.byteOffset, spec.byteLength).includes(ownProfileInSpec) && hasAppArmor())
    await loadDefaultProfile(ownProfileName);
}

const ownProfileInSpec = `"apparmorProfile":${JSON.stringify(ownProfileName)}`;

/** The kernel adds the mode: `name (enforce)`. */
function ownProfile(): string {
  return textOf("/proc/self/attr/current").trim().split(" ")[0] || "unconfined";
}

async function runParser(name: string, args: readonly string[]): Promise<void> {
  const parser = parsers.find((path) => existsSync(path));
  if (parser === undefined)
    throw notFound(
      `load apparmor profile ${name}: "apparmor_parser" isn't installed (Debian's package apparmor has it)`,
    );
  const child = startProgram([parser, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/sbin:/sbin" },
  });
  const [out, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0)
    throw failedPrecondition(
      `load apparmor profile ${name}: parser error(${JSON.stringify(`${out}${errors}`.trim())}): status ${status}`,
    );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Without AppArmor there is no such file, or (a process's own profile) it can't be read.
    return "";
  }
}
