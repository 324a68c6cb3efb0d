import { expect, test } from "bun:test";
import { hasAppArmor } from "@hull/engine/apparmor/index";
import { appArmorProfile } from "./apparmor.ts";

const profile = (privileged: boolean, ...options: string[]) => appArmorProfile({ privileged, "security-opt": options });

test("who is privileged, or wants none, has none", async () => {
  expect(await profile(true, "no-new-privileges")).toBeUndefined();
  expect(await profile(false, "apparmor=unconfined")).toBeUndefined();
  expect(await profile(false, "apparmor=none", "apparmor:unconfined")).toBeUndefined();
});

test("a profile that can't be had is an error", async () => {
  await expect(profile(true, "apparmor=hull-none")).rejects.toThrow('AppArmor profile "hull-none"');
});

const root = process.getuid?.() === 0;
test.skipIf(hasAppArmor())("without AppArmor there is no default one", async () => {
  expect(await profile(false)).toBeUndefined();
});
test.skipIf(!root || !hasAppArmor())("the default one is loaded, and can be named then (root, AppArmor)", async () => {
  expect(await profile(false)).toBe("hull-default");
  expect(await profile(true, "apparmor=hull-default")).toBe("hull-default");
});
