import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PluginRun } from "@hull/cni";
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

const shell = (script: string, signal?: AbortSignal): PluginRun => ({
  path: "/bin/sh",
  input: script,
  env: { WORD: "plug in" },
  signal,
});

test.skipIf(!isRoot)("plugins are run by the helper while there is one (needs root)", async () => {
  let started = 0;
  using maker = new NamespaceMaker(() => {
    started++;
    return selfCommand("namespaces");
  });
  const parent = 'echo "$PPID $WORD $PATH"; echo wrong >&2; exit 3';
  const here = { status: 3, output: `${process.pid} plug in ${process.env.PATH}\n`, errors: "wrong\n" };
  expect(await maker.run(shell(parent))).toEqual(here);
  await using made = pins(maker);
  // Soon more than is done here in so short a time, whatever the machine.
  while (started === 0) {
    await Promise.all(made.plans.map((plan) => maker.create(plan)));
    await Promise.all(made.plans.map(({ paths }) => maker.release(paths)));
  }
  await Promise.all(made.plans.map((plan) => maker.create(plan)));
  const all = await Promise.all(Array.from({ length: 20 }, () => maker.run(shell(parent))));
  for (const { status, output, errors } of all) {
    expect({ status, errors }).toEqual({ status: 3, errors: "wrong\n" });
    expect(output).toEndWith(` plug in ${process.env.PATH}\n`);
    expect(output).not.toBe(here.output);
  }
  // Much output, in lines and not in ASCII; namespaces are made and taken down meanwhile.
  const much = maker.run(shell('i=0; while [ $i -lt 5000 ]; do echo "d\u00e9j\u00e0 $i"; i=$((i+1)); done'));
  await Promise.all(made.plans.map(({ paths }) => maker.release(paths)));
  expect((await much).output.split("\n")).toHaveLength(5001);
  await expect(maker.run({ ...shell(""), path: "/nonexistent/plugin" })).rejects.toThrow();

  const controller = new AbortController();
  const endless = maker.run(shell("exec sleep 1000000", controller.signal));
  controller.abort(new Error("no longer wanted"));
  await expect(endless).rejects.toThrow("no longer wanted");
  await expect(maker.run(shell("", controller.signal))).rejects.toThrow("no longer wanted");

  // The helper's own end.
  await expect(maker.run(shell("kill -9 $PPID"))).rejects.toMatchObject({ code: "unavailable" });
  expect(await maker.run(shell(parent))).toEqual(here);
});
