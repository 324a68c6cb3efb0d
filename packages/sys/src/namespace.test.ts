import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { bringUp } from "./interface.ts";
import {
  createNamespaces,
  createUserNamespaces,
  inNamespaces,
  namespaceIdentity,
  unpinNamespace,
} from "./namespace.ts";
import { isRoot, temporaryDirectory } from "./testing.ts";

const inodeOf = (kind: "ipc" | "net" | "uts"): number => statSync(`/proc/thread-self/ns/${kind}`).ino;

describe.skipIf(!isRoot)("namespaces without a process (needs root)", () => {
  test("are made in one step, prepared, and entered again", () => {
    using directory = temporaryDirectory();
    const paths = { net: directory.at("net"), ipc: directory.at("ipc"), uts: directory.at("uts") };
    const before = [inodeOf("net"), inodeOf("ipc"), inodeOf("uts")];
    const host = hostname();
    createNamespaces(paths, () => {
      writeFileSync("/proc/sys/kernel/hostname", "pod-1");
      writeFileSync("/proc/sys/kernel/shm_rmid_forced", "1");
      writeFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
      bringUp("lo");
    });
    expect([inodeOf("net"), inodeOf("ipc"), inodeOf("uts")]).toEqual(before);
    expect(readFileSync("/proc/sys/kernel/hostname", "utf8").trim()).toBe(host);
    const seen = inNamespaces(paths, () => ({
      inodes: [inodeOf("net"), inodeOf("ipc"), inodeOf("uts")],
      hostname: readFileSync("/proc/sys/kernel/hostname", "utf8").trim(),
      shm: readFileSync("/proc/sys/kernel/shm_rmid_forced", "utf8").trim(),
      port: readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8").trim(),
    }));
    expect(seen).toMatchObject({ hostname: "pod-1", shm: "1", port: "0" });
    for (const [at, inode] of seen.inodes.entries()) expect(inode).not.toBe(before[at] ?? 0);
    const links = spawnSync("nsenter", [`--net=${paths.net}`, "ip", "-o", "addr", "show", "dev", "lo"], {
      encoding: "utf8",
    });
    expect(links.stdout).toContain("127.0.0.1/8");
    for (const path of Object.values(paths)) unpinNamespace(path);
    expect(Object.values(paths).filter((path) => existsSync(path))).toEqual([]);
  });

  test("leave nothing when what prepares them fails", () => {
    using directory = temporaryDirectory();
    const paths = { net: directory.at("net"), uts: directory.at("uts") };
    const before = inodeOf("net");
    expect(() =>
      createNamespaces(paths, () => {
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(inodeOf("net")).toBe(before);
    expect(Object.values(paths).filter((path) => existsSync(path))).toEqual([]);
  });

  test("belong to a user namespace where they are made with one", () => {
    using directory = temporaryDirectory();
    const paths = { net: directory.at("net"), ipc: directory.at("ipc"), uts: directory.at("uts") };
    const user = directory.at("user");
    const range = { inside: 0, outside: 200000, size: 65536 };
    createUserNamespaces({ uids: [range], gids: [range] }, user, paths);
    const maps = spawnSync("nsenter", [`--user=${user}`, `--net=${paths.net}`, "cat", "/proc/self/uid_map"], {
      encoding: "utf8",
    });
    expect(maps.stdout.trim().split(/\s+/)).toEqual(["0", "200000", "65536"]);
    inNamespaces(paths, () => {
      writeFileSync("/proc/sys/kernel/hostname", "mapped");
      writeFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    });
    const name = spawnSync("nsenter", [`--uts=${paths.uts}`, "cat", "/proc/sys/kernel/hostname"], { encoding: "utf8" });
    expect(name.stdout.trim()).toBe("mapped");
    for (const path of [...Object.values(paths), user]) unpinNamespace(path);
    expect(namespaceIdentity("self", "user")).toStartWith("user:");
  });
});
