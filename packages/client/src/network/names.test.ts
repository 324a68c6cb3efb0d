import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostsHead, joinNames, leaveNames, membersOf, namesDirectory, renameMember, writeNaming } from "./names.ts";

describe("names of a network", () => {
  let folder: string;
  let directory: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hull-names-"));
    directory = namesDirectory(join(folder, "netns"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const file = (key: string): string => join(folder, `${key}.hosts`);
  const hosts = (key: string): string => readFileSync(file(key), "utf8");
  const enter = (key: string, address: string, { peers = true, network = "n" } = {}): void => {
    writeFileSync(file(key), hostsHead);
    const naming = { names: [key, `${key}-alias`], hostname: `host-${key}`, file: file(key) };
    writeNaming(join(folder, `${key}.naming`), naming);
    joinNames(directory, network, { key, addresses: [address], ...naming }, { peers });
  };

  test("each knows itself and all others, in the same file as before", () => {
    enter("a", "10.0.0.2");
    const { ino } = statSync(file("a"));
    expect(hosts("a")).toBe(`${hostsHead}# hull: network n\n10.0.0.2\thost-a a a-alias\n# hull: end of network n\n`);
    enter("b", "10.0.0.3");
    enter("c", "10.0.0.4", { network: "other" });
    expect(hosts("a")).toContain("10.0.0.3\tb b-alias\n");
    expect(hosts("b")).toContain("10.0.0.2\ta a-alias\n");
    expect(hosts("a") + hosts("b")).not.toContain("10.0.0.4");
    expect(statSync(file("a")).ino).toBe(ino);
    expect(membersOf(directory, "n").map(({ key }) => key)).toEqual(["a", "b"]);
  });

  test("who goes is forgotten, and who comes again has its new address; what the container wrote stays", () => {
    enter("a", "10.0.0.2");
    enter("b", "10.0.0.3");
    writeFileSync(file("a"), `1.2.3.4\tbefore\n${hosts("a")}5.6.7.8\tbehind\n`);
    leaveNames(directory, "n", "b");
    expect(hosts("a")).not.toContain("10.0.0.3");
    enter("b", "10.0.0.9");
    expect(hosts("a")).toContain("10.0.0.9\tb b-alias\n");
    for (const line of ["1.2.3.4\tbefore\n", "5.6.7.8\tbehind\n"]) expect(hosts("a").split(line)).toHaveLength(2);
  });

  test("a new name counts for all at once, and for lives to come", () => {
    enter("a", "10.0.0.2");
    enter("b", "10.0.0.3");
    renameMember(directory, "n", { key: "b", naming: join(folder, "b.naming"), name: "shop" });
    expect(hosts("a")).toContain("10.0.0.3\tshop b-alias\n");
    expect(hosts("b")).toContain("10.0.0.3\thost-b shop b-alias\n");
    leaveNames(directory, "n", "b");
    renameMember(directory, "n", { key: "b", naming: join(folder, "b.naming"), name: "store" });
    expect(readFileSync(join(folder, "b.naming"), "utf8")).toContain('["store","b-alias"]');
    expect(membersOf(directory, "n").map(({ key }) => key)).toEqual(["a"]);
  });

  test("where containers have no names each knows itself alone", () => {
    enter("a", "10.0.0.2", { peers: false });
    enter("b", "10.0.0.3", { peers: false });
    expect(hosts("a")).toContain("10.0.0.2\thost-a a a-alias\n");
    expect(hosts("a")).not.toContain("10.0.0.3");
    expect(membersOf(directory, "n")).toEqual([]);
  });

  test("a container whose file went, and one that never came, disturb nobody", () => {
    enter("a", "10.0.0.2");
    enter("b", "10.0.0.3");
    rmSync(file("a"));
    leaveNames(directory, "n", "nobody");
    leaveNames(directory, "n", "b");
    expect(membersOf(directory, "n").map(({ key }) => key)).toEqual(["a"]);
  });
});
