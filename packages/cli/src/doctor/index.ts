/**
 * Whether this host can be a node: what hull and the kubelet need of it, looked at without changing anything.
 *
 *   setup (what the configuration asks for) ─┐
 *   machine (files, programs, mounts) ───────┴──► checks, by area ──► findings ──► report
 *
 * A check looks at one thing and gives one finding, or several of a kind. What it needs of the host it takes from `Machine`, so that tests
 * can give it any host. A finding is `fail` if pods can't run or be reached with it, `warn` if something that some pods want won't work or
 * a load of pods will run into it, else `ok`; one that isn't `ok` says how to mend it.
 */

import { HullError } from "@hull/errors";
import { cgroupChecks } from "./checks/cgroups.ts";
import { kernelChecks } from "./checks/kernel.ts";
import { limitChecks } from "./checks/limits.ts";
import { networkChecks } from "./checks/network.ts";
import { rightsChecks } from "./checks/rights.ts";
import { runtimeChecks } from "./checks/runtimes.ts";
import { securityChecks } from "./checks/security.ts";
import { storageChecks } from "./checks/storage.ts";
import { type Check, type Finding, warn } from "./finding.ts";
import type { Machine } from "./machine.ts";
import type { Setup } from "./setup.ts";

/** What was found of one area. */
export interface Area {
  readonly name: string;
  readonly findings: readonly Finding[];
}

const areas: Readonly<Record<string, readonly Check[]>> = {
  rights: rightsChecks,
  kernel: kernelChecks,
  "control groups": cgroupChecks,
  runtimes: runtimeChecks,
  network: networkChecks,
  storage: storageChecks,
  limits: limitChecks,
  security: securityChecks,
};

/** Makes all checks, one after the other. One that can't be made is a finding too. */
export async function examine(machine: Machine, setup: Setup): Promise<Area[]> {
  const examined: Area[] = [];
  for (const [name, checks] of Object.entries(areas)) {
    const findings: Finding[] = [];
    for (const check of checks) {
      try {
        findings.push(...[await check(machine, setup)].flat());
      } catch (error) {
        const detail = `can't be known: ${HullError.from(error).message}`;
        findings.push(warn(name, detail, "run it as root, on the node itself"));
      }
    }
    examined.push({ name, findings });
  }
  return examined;
}
