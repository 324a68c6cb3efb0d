import { expect, test } from "bun:test";
import { formatReference } from "@hull/oci/reference";
import fc from "fast-check";
import { pullReference, recordName, recordNames, repositoryNames } from "./references.ts";

const digest = `sha256:${"a".repeat(64)}`;

test("a reference is completed, and loses its tag to a digest", () => {
  expect(recordName("alpine")).toBe("docker.io/library/alpine:latest");
  expect(recordName(`alpine:3@${digest}`)).toBe(`docker.io/library/alpine@${digest}`);
  expect(recordName("No Name")).toBeUndefined();
  expect(recordNames(pullReference("r.io/a:1"), digest)).toEqual(["r.io/a:1", `r.io/a@${digest}`]);
  expect(recordNames(pullReference(`r.io/a@${digest}`), digest)).toEqual([`r.io/a@${digest}`]);
});

test("names of records are divided by what they end in", () => {
  const names = [digest, "r.io/b:1", "r.io/b", `r.io/a@${digest}`, `r.io/a:1@${digest}`, "a:2", "No Name", "r.io/a:1"];
  expect(repositoryNames(names)).toEqual({
    tags: ["docker.io/library/a:2", "r.io/a:1", "r.io/b:1"],
    digests: [`r.io/a:1@${digest}`, `r.io/a@${digest}`],
  });
});

test("any text is a reference or an error that says so", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const name = formatReference(pullReference(text));
        expect(recordName(text)).toBe(name);
        expect(recordName(name)).toBe(name);
      } catch (error) {
        expect((error as Error).message).toStartWith(`failed to parse image reference ${JSON.stringify(text)}: `);
        expect(recordName(text)).toBeUndefined();
      }
      repositoryNames([text]);
    }),
  );
});
