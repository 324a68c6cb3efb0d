import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ctrProgram } from "../ctr/program.ts";
import { dockerProgram } from "../docker/program.ts";
import { type Candidate, complete, type NameSource } from "./complete.ts";
import { splitLine, trimBreaks } from "./line.ts";

const ctr = { name: "ctr", summary: "the other one", rawArguments: true, program: async () => ctrProgram };
const hull = dockerProgram([ctr]);

/** Names that tell what they were asked for. */
const names: NameSource = async (kind, globals) =>
  kind === "image" ? ["alpine:3", "busybox:latest"] : [`${kind}-of-${globals.namespace ?? "default"}`];

const words = ({ candidates }: { candidates: readonly Candidate[] }): string[] => candidates.map(({ word }) => word);
const at = async (line: string): Promise<string[]> => words(await complete(hull, splitLine(line), names));

describe("what is offered", () => {
  test("commands, by their beginning; aliases only where no name fits", async () => {
    expect(await at("")).toContain("run");
    expect(await at("ex")).toEqual(["exec", "export"]);
    expect(await at("ctr c")).toEqual(["containers", "content"]);
    expect(await at("ctr ns l")).toEqual(["list", "label"]);
    expect(await at("ctr containers del")).toEqual(["delete"]);
    expect(await at("ctr snapshot r")).toEqual(["remove", "rm"]);
    expect(await at("nothing ")).toEqual([]);
  });
  test("flags with what they are; none that are refused", async () => {
    expect(await at("exec --env-")).toEqual(["--env-file"]);
    expect(await at("exec --wo")).toEqual(["--workdir"]);
    expect(await at("ctr run --det")).toEqual(["--detach"]);
    const { candidates } = await complete(hull, ["ps", "--no"], names);
    expect(candidates).toEqual([{ word: "--no-trunc", about: "Don't cut ids and commands" }]);
    expect(await at("run -- --r")).toEqual([]);
  });
  test("names, from the daemon that the flags before say", async () => {
    expect(await at("exec ")).toEqual(["running-of-default"]);
    expect(await at("--namespace mine exec -it ")).toEqual(["running-of-mine"]);
    expect(await at("-n mine exec -it ")).toEqual(["running-of-mine"]);
    expect(await at("--namespace=mine rm ")).toEqual(["container-of-mine"]);
    expect(await at("run -it busy")).toEqual(["busybox:latest"]);
    expect(await at("run -v /a:/b -it al")).toEqual(["alpine:3"]);
    expect(await at("run busybox ")).toEqual([]);
    expect(await at("ctr -n k8s.io t kill -s 9 ")).toEqual(["running-of-k8s.io"]);
    expect(await at("ctr images mount alpine ")).toEqual([]);
  });
  test("values of flags, in the next word and in the same", async () => {
    expect(await at("-n ")).toEqual(["namespace-of-default"]);
    expect(await at("--namespace=na")).toEqual(["--namespace=namespace-of-default"]);
    expect(await at("completion --for c")).toEqual(["ctr"]);
    expect((await complete(hull, ["run", "--env-file", ""], names)).paths).toBe("files");
    expect((await complete(hull, ["--root", ""], names)).paths).toBe("directories");
    expect((await complete(hull, ["load", "-i", ""], names)).paths).toBe("files");
  });
  test("anything may be typed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string(), fc.constantFrom("run", "ctr", "-", "--", "-it", "--x=y"))),
        async (typed) => {
          await complete(hull, typed, names);
        },
      ),
    );
  });
});

describe("the line as bash gives it", () => {
  test("words, quotes and backslashes", () => {
    expect(splitLine('hull  run \'a b\' "c \\"d" e\\ f g')).toEqual(["hull", "run", "a b", 'c "d', "e f", "g"]);
    expect(splitLine("hull ")).toEqual(["hull", ""]);
    expect(splitLine("hull 'beg")).toEqual(["hull", "beg"]);
    expect(splitLine("")).toEqual([""]);
  });
  test("every word that is quoted comes back", () => {
    const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (given) => {
        expect(splitLine(given.map(quote).join(" "))).toEqual(given);
      }),
    );
  });
  test("what breaks words is left out", () => {
    expect(trimBreaks("busybox:latest", "busybox:la", " :=")).toBe("latest");
    expect(trimBreaks("busybox:latest", "busybox:la", " ")).toBe("busybox:latest");
    expect(trimBreaks("--network=host", "--network=h", "=:")).toBe("host");
    expect(trimBreaks("abc", "", "=:")).toBe("abc");
  });
});
