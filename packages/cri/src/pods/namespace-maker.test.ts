import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfCommand } from "@hull/engine/self";
import { isNamespace } from "@hull/sys/namespace";
import { NamespaceMaker } from "./namespace-maker.ts";
import type { NamespacePlan } from "./namespaces.ts";

const isRoot = process.getuid?.() === 0;

/** A folder for pinned namespaces, which are let go of when it is disposed of. */
function pins(maker: NamespaceMaker) {
  const folder = mkdtempSync(join(tmpdir(), "hull-namespaces-"));
  const plans = Array.from({ length: 12 }, (_, index): NamespacePlan => {
    const at = (kind: string): string => join(folder, String(index), kind);
    const sysctls = { net: [["net.ipv4.ip_forward", "1"]] as const, ipc: [], uts: [] };
    return { paths: { net: at("net"), ipc: at("ipc"), uts: at("uts") }, mappings: undefined, sysctls, hostname: "pod" };
  });
  return {
    plans,
    async [Symbol.asyncDispose]() {
      await Promise.all(plans.map(({ paths }) => maker.release(paths)));
      rmSync(folder, { recursive: true });
    },
  };
}

const kept = ({ paths }: NamespacePlan): boolean[] => Object.values(paths).map((path) => isNamespace(path));

test.skipIf(!isRoot)("many namespaces at a time are made by one helper, and taken down (needs root)", async () => {
  let started = 0;
  using maker = new NamespaceMaker(() => {
    started++;
    return selfCommand("namespaces");
  });
  await using made = pins(maker);
  const { plans } = made;
  // More than is done here in so short a time, whatever the machine.
  await Promise.all(plans.map((plan) => maker.create(plan)));
  await Promise.all(plans.map(({ paths }) => maker.release(paths)));
  await Promise.all(plans.map((plan) => maker.create(plan)));
  expect(plans.flatMap(kept)).not.toContain(false);
  expect(started).toBe(1);
  const [first] = plans;
  if (first === undefined) throw new Error("no plan");
  // What is there already is an error here, as it is there.
  await expect(maker.create(first)).rejects.toThrow("EEXIST");
  await Promise.all(plans.map(({ paths }) => maker.release(paths)));
  expect(plans.flatMap(kept)).not.toContain(true);
});

test.skipIf(!isRoot)("a helper that can't be started, or ends, is done without (needs root)", async () => {
  for (const command of [["/nonexistent/hull"], ["/bin/false"]]) {
    using maker = new NamespaceMaker(() => command);
    await using made = pins(maker);
    await Promise.all(made.plans.map((plan) => maker.create(plan)));
    expect(made.plans.flatMap(kept)).not.toContain(false);
    await Promise.all(made.plans.map(({ paths }) => maker.release(paths)));
    expect(made.plans.flatMap(kept)).not.toContain(true);
  }
});
