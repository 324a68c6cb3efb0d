import { expect, test } from "bun:test";
import { parseImageConfig } from "@hull/oci/manifest";
import { limitsOf, type SandboxOptions } from "./options.ts";
import { sandboxSpec } from "./spec.ts";

const image = parseImageConfig("an image", new TextEncoder().encode('{"os":"linux","architecture":"amd64"}'));

function specOf(options: Partial<SandboxOptions>, apparmor: string | undefined) {
  const wanted = { command: ["true"], ...options };
  return sandboxSpec(wanted, {
    id: "x",
    namespace: "default",
    image,
    limits: limitsOf(wanted),
    workspace: { work: "/host/work", temporary: "/host/tmp" },
    user: { uid: 1, gid: 1 },
    ids: undefined,
    network: [],
    isolation: "container",
    apparmor,
  });
}

test("a sandbox has the profile of AppArmor that the host has for it", () => {
  expect(specOf({}, "hull-default").process.apparmorProfile).toBe("hull-default");
  expect(specOf({}, undefined).process.apparmorProfile).toBeUndefined();
});

test("and in any case no capabilities, no new privileges, and a root that can't be written", () => {
  const { process, root } = specOf({}, undefined);
  expect(process.noNewPrivileges).toBe(true);
  expect(Object.values(process.capabilities ?? {}).flat()).toEqual([]);
  expect(root.readonly).toBe(true);
});
