import { expect, test } from "bun:test";
import fc from "fast-check";
import { credentialsFor } from "./credentials.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("the first of name, identity token, auth and registry token counts", () => {
  const auth = base64("b:q:r");
  const all = { username: "a", password: "p", identityToken: "i", auth, registryToken: "t" };
  expect(credentialsFor(all, "h")).toEqual({ username: "a", secret: "p" });
  expect(credentialsFor({ ...all, username: "" }, "h")).toEqual({ identityToken: "i" });
  expect(credentialsFor({ auth, registryToken: "t" }, "h")).toEqual({ username: "b", secret: "q:r" });
  expect(credentialsFor({ registryToken: "t" }, "h")).toEqual({ registryToken: "t" });
  expect(credentialsFor({}, "h")).toBeUndefined();
  expect(credentialsFor(undefined, "h")).toBeUndefined();
});

test("credentials go to no other host than theirs", () => {
  const sent = (serverAddress: string, host: string) =>
    credentialsFor({ username: "a", serverAddress }, host) !== undefined;
  expect(sent("", "r.io")).toBe(true);
  expect(sent("https://r.io/v1/", "r.io")).toBe(true);
  expect(sent("r.io:5000", "r.io:5000")).toBe(true);
  expect(sent("https://r.io", "r.io:5000")).toBe(false);
  expect(sent("https://r.io.evil", "r.io")).toBe(false);
  expect(sent("https://index.docker.io/v1/", "registry-1.docker.io")).toBe(true);
  expect(sent("https://index.docker.io/v1/", "r.io")).toBe(false);
  expect(() => sent("http://", "r.io")).toThrow("parse server address");
});

test("auth is what Docker's tools write, or an error that doesn't quote it", () => {
  const name = fc.string().filter((text) => text !== "" && !text.includes(":") && text.isWellFormed());
  const password = fc.string().filter((text) => !text.includes("\0") && text.isWellFormed());
  fc.assert(
    fc.property(name, password, (username, secret) => {
      expect(credentialsFor({ auth: base64(`${username}:${secret}`) }, "h")).toEqual({ username, secret });
    }),
  );
  expect(credentialsFor({ auth: base64("a:p\0\0") }, "h")).toEqual({ username: "a", secret: "p" });
  for (const auth of ["!!!", base64("no-colon"), "a:b"]) {
    expect(() => credentialsFor({ auth }, "h")).toThrow("invalid decoded auth");
    expect(() => credentialsFor({ auth }, "h")).not.toThrow(auth);
  }
});
