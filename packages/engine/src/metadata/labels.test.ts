import { describe, expect, test } from "bun:test";
import { updateLabels, updateMapField, validateLabels } from "./labels.ts";

describe("labels", () => {
  test("a key and its value are 4096 bytes at most", () => {
    validateLabels({ a: "x".repeat(4095) });
    expect(() => validateLabels({ a: "x".repeat(5000) }, "namespace.Labels")).toThrow(
      "namespace.Labels: label key and value length (5001 bytes) greater than maximum size (4096 bytes), key: a",
    );
    expect(() => validateLabels({ é: "x".repeat(4095) })).toThrow("4097 bytes");
  });

  test("updates by path", () => {
    const before = { a: "1", "b.c": "2" };
    expect(updateLabels(before, { z: "3", e: "" })).toEqual({ z: "3" });
    expect(updateLabels(before, { z: "3" }, ["labels"])).toEqual({ z: "3" });
    expect(updateLabels(before, { "b.c": "4", z: "3" }, ["labels.b.c"])).toEqual({ a: "1", "b.c": "4" });
    expect(updateLabels(before, { a: "" }, ["labels.a", "labels.b.c"])).toEqual({});
    expect(() => updateLabels(before, {}, ["size"], 'content "x"')).toThrow(
      'cannot update "size" field on content "x"',
    );
  });

  test("a key may be the name of something that objects inherit", () => {
    expect(updateMapField("labels", "labels.toString", { a: "1" }, {})).toEqual({ a: "1" });
    const after = JSON.parse('{"__proto__":"x"}');
    expect(Object.entries(updateLabels({}, after, ["labels.__proto__"]))).toEqual([["__proto__", "x"]]);
  });
});
