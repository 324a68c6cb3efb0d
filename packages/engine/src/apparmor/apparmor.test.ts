import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  defaultProfile,
  hasAppArmor,
  isProfileLoaded,
  loadDefaultProfile,
  loadOwnProfileFor,
  ownProfileName,
} from "./index.ts";

const parser = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"].find((path) => existsSync(path));
const lacksParser = parser === undefined ? " (skipped: apparmor isn't installed)" : "";
const lacksKernel = hasAppArmor() ? "" : " (skipped: the kernel has no AppArmor)";

describe("the default AppArmor profile", () => {
  test("says what may be, then what may not", () => {
    const policy = defaultProfile("cri-containerd.apparmor.d", { has: () => false, daemonProfile: "unconfined" });
    const lines = policy.split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "@{PROC}=/proc/",
      "profile cri-containerd.apparmor.d flags=(attach_disconnected,mediate_deleted) {",
      "  network,",
    ]);
    expect(lines.filter((line) => line.includes("signal"))).toEqual([
      "  signal (receive) peer=unconfined,",
      "  signal (receive) peer=runc,",
      "  signal (receive) peer=crun,",
      "  signal (send,receive) peer=cri-containerd.apparmor.d,",
    ]);
    expect(lines).toContain("  deny mount,");
  });

  test.skipIf(lacksParser !== "")(`is one that the parser takes, on its own and with the library${lacksParser}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "hull-apparmor-test-"));
    using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
    for (const has of [() => false, (path: string) => existsSync(join("/etc/apparmor.d", path))]) {
      const file = join(folder, "profile");
      writeFileSync(
        file,
        defaultProfile("hull-test", { has, daemonProfile: "hulld", rootlessKit: "/usr/bin/rootlesskit" }),
      );
      const { exitCode, stderr } = Bun.spawnSync([parser ?? "", "--skip-kernel-load", "--skip-cache", file]);
      // All else that it says is about the kernel.
      const problems = stderr.toString().replace(/^Cache read\/write disabled:.*\n/m, "");
      expect({ exitCode, problems }).toEqual({ exitCode: 0, problems: "" });
    }
  });

  test("has a name that is one word", async () => {
    await expect(loadDefaultProfile("a { file, }\nprofile b")).rejects.toThrow(
      "can't be the name of an AppArmor profile",
    );
  });

  test.skipIf(lacksKernel !== "")(`is loaded once${lacksKernel}`, async () => {
    const name = `hull-test-${process.pid}`;
    await loadDefaultProfile(name);
    await loadDefaultProfile(name);
    expect(isProfileLoaded(name)).toBe(true);
    expect(isProfileLoaded("hull-test-none")).toBe(false);
  });

  test("is loaded for a container that names it, where there is AppArmor", async () => {
    const spec = (apparmorProfile: string) =>
      new TextEncoder().encode(JSON.stringify({ process: { apparmorProfile } }));
    await loadOwnProfileFor(spec(`${ownProfileName}-not`));
    await loadOwnProfileFor(spec(ownProfileName));
    if (hasAppArmor()) expect(isProfileLoaded(ownProfileName)).toBe(true);
  });

  test.skipIf(lacksKernel === "")("can't be where the kernel has no AppArmor", async () => {
    await expect(loadDefaultProfile("x")).rejects.toThrow("no AppArmor");
  });
});
