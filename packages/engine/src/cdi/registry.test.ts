import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultSpec } from "@hull/oci/spec";
import { devicesOfAnnotations, openDeviceRegistry } from "./index.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hull-cdi-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): void => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), text);
};
const json = (value: string, ...names: string[]): string =>
  JSON.stringify({
    cdiVersion: "0.6.0",
    kind: "vendor.com/dev",
    containerEdits: { env: ["COMMON=1"] },
    devices: names.map((name) => ({ name, containerEdits: { env: [`${name.toUpperCase()}=${value}`] } })),
  });
const registry = () => openDeviceRegistry([join(folder, "etc"), join(folder, "run")]);
const inject = async (from: ReturnType<typeof registry>, ...names: string[]): Promise<string[] | undefined> =>
  (await from.inject(defaultSpec({ namespace: "n", id: "i" }), names)).process.env;

describe("device registry", () => {
  test("JSON and YAML, later directories win, common edits come once", async () => {
    file("etc/a.json", json("etc", "x", "y"));
    file(
      "run/b.yaml",
      '---\ncdiVersion: "0.6.0"\nkind: vendor.com/dev\ndevices:\n- name: y\n  containerEdits:\n    env: [Y=run]\n',
    );
    file("etc/ignored.txt", "{");
    const found = registry();
    expect(await found.devices()).toEqual(["vendor.com/dev=x", "vendor.com/dev=y"]);
    expect(await found.vendors()).toEqual(["vendor.com"]);
    expect(await inject(found, "vendor.com/dev=x", "vendor.com/dev=y")).toEqual(["COMMON=1", "X=etc", "Y=run"]);
    expect((await found.problems()).size).toBe(0);
  });

  test("a device of two files in one directory can't be used", async () => {
    file("etc/a.json", json("a", "x", "z"));
    file("etc/b.json", json("b", "x"));
    const found = registry();
    expect(await found.devices()).toEqual(["vendor.com/dev=z"]);
    expect([...(await found.problems()).values()].flat().join()).toContain('conflicting device "vendor.com/dev=x"');
    await expect(inject(found, "vendor.com/dev=x", "vendor.com/dev=none")).rejects.toThrow(
      "CDI device injection failed: unresolvable CDI devices vendor.com/dev=x, vendor.com/dev=none",
    );
  });

  test("files that are wrong are told of; changes are seen", async () => {
    file("etc/a.json", "{");
    file("etc/b.yaml", "a: 1\na: 2\n");
    const found = registry();
    expect(await found.devices()).toEqual([]);
    expect([...(await found.problems()).keys()]).toEqual([join(folder, "etc/a.json"), join(folder, "etc/b.yaml")]);
    file("etc/a.json", json("new", "x"));
    expect(await inject(found, "vendor.com/dev=x")).toEqual(["COMMON=1", "X=new"]);
    rmSync(join(folder, "etc/a.json"));
    expect(await found.devices()).toEqual([]);
  });

  test("annotations ask for devices", () => {
    const annotations = { "cdi.k8s.io/one": "a.b/c=d,a.b/c=e", other: "x" };
    expect(devicesOfAnnotations(annotations)).toEqual(["a.b/c=d", "a.b/c=e"]);
    expect(() => devicesOfAnnotations({ "cdi.k8s.io/one": "/dev/null" })).toThrow(
      'invalid CDI device name "/dev/null"',
    );
  });
});
