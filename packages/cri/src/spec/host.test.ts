import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Mount } from "@hull/engine/mount/index";
import { makeFifo } from "@hull/sys/files";
import { temporaryDirectory } from "@hull/sys/testing";
import { defaultCriConfig } from "../config.ts";
import { hostPaths, readHostFacts } from "./host.ts";
import { UserFilesReader } from "./rootfs-files.ts";
import { loadSeccomp } from "./seccomp-file.ts";

const asRoot = test.skipIf(process.getuid?.() !== 0);

describe("paths of the host", () => {
  test("links are followed, directories made, errors in Go's words", async () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.at("real"));
    symlinkSync("real", directory.at("link"));
    writeFileSync(directory.at("file"), "");
    expect(await hostPaths.find(directory.at("link"))).toBe(directory.at("real"));
    expect(await hostPaths.find(directory.at("new"))).toBeUndefined();
    await hostPaths.makeDirectory(directory.at("new", "deep"));
    expect(await hostPaths.find(directory.at("new", "deep"))).toBe(directory.at("new", "deep"));
    const below = directory.at("file", "x");
    await expect(hostPaths.find(below)).rejects.toThrow(`stat ${below}: not a directory`);
  });
  test("the mount that a path is on", async () => {
    expect((await hostPaths.mountOf("/proc/self/status")).target).toBe("/proc");
    // The name of a mount isn't the beginning of another's.
    expect((await hostPaths.mountOf("/process")).target).toBe("/");
  });
});

test("facts are there on any host", () => {
  const facts = readHostFacts(defaultCriConfig().runtime);
  expect(facts.hostname).not.toBe("");
  expect(facts.oomScore.own).toBe(Number(readFileSync("/proc/self/oom_score_adj", "utf8")));
});

describe("users of a root file system", () => {
  const mountsOf = (source: string): Mount[] => [{ type: "bind", source, target: "", options: ["rbind"] }];
  asRoot("are read once an image, and never from outside (root)", async () => {
    using directory = temporaryDirectory();
    const etc = directory.at("root", "etc");
    mkdirSync(etc, { recursive: true });
    writeFileSync(directory.at("outside"), "evil:x:0:0::/:");
    writeFileSync(join(etc, "passwd"), "web:x:1:1::/:");
    symlinkSync("../../outside", join(etc, "group"));
    let asked = 0;
    const reader = new UserFilesReader();
    const files = reader.of("chain", async () => {
      asked++;
      return mountsOf(directory.at("root"));
    });
    expect(await files.users()).toEqual({ passwd: "web:x:1:1::/:", group: undefined });
    expect(await files.users()).toEqual({ passwd: "web:x:1:1::/:", group: undefined });
    expect(asked).toBe(1);
  });
  asRoot("a FIFO holds nobody up (root)", async () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.at("etc"));
    makeFifo(directory.at("etc", "passwd"));
    const files = new UserFilesReader().of("chain", async () => mountsOf(directory.at()));
    expect(await files.users()).toEqual({ passwd: undefined, group: undefined });
  });
});

describe("profiles", () => {
  test("of seccomp come from files", async () => {
    using directory = temporaryDirectory();
    const file = directory.at("profile.json");
    const written = (text: string) => {
      writeFileSync(file, text);
      return loadSeccomp(file);
    };
    expect(await written('{"defaultAction":"SCMP_ACT_LOG"}')).toEqual({ defaultAction: "SCMP_ACT_LOG" });
    for (const text of ["{", "[]", "{}", "null"])
      await expect(written(text)).rejects.toThrow(`decoding seccomp profile failed "${file}"`);
    await expect(loadSeccomp("/not/there")).rejects.toThrow(
      'cannot load seccomp profile "/not/there": open /not/there: no such file or directory',
    );
  });
});
