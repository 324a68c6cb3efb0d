import { expect, test } from "bun:test";
import fc from "fast-check";
import { goJson, messageToGo } from "./go-json.ts";
import { formatLabels, parseLabels } from "./labels.ts";
import { parseMount } from "./mount-flag.ts";

test("--mount is read as ctr reads it", () => {
  expect(parseMount("type=bind,src=/tmp,dst=/host,options=rbind:ro")).toEqual({
    type: "bind",
    source: "/tmp",
    destination: "/host",
    options: ["rbind", "ro"],
  });
  expect(parseMount('type=bind,"src=/a,b",dst=/c').source).toBe("/a,b");
  expect(() => parseMount("type=bind,what=x")).toThrow('mount option "what" not supported');
  expect(() => parseMount("foo")).toThrow("invalid mount specification: expected key=val");
});

test("labels", () => {
  expect(parseLabels(["a=b", "c", "d=e=f", "g="])).toEqual({ a: "b", c: "true", d: "e=f", g: "" });
  expect(formatLabels({ b: "2", a: "1" })).toBe("a=1,b=2");
});

test("JSON as Go writes it", () => {
  expect(goJson({ a: 18446744073709551615n, b: "<&>", c: undefined, d: null, e: new Uint8Array([1]) })).toBe(
    '{"a":18446744073709551615,"b":"\\u003c\\u0026\\u003e","d":null,"e":"AQ=="}',
  );
  expect(goJson({ a: [1], b: {} }, "  ")).toBe('{\n  "a": [\n    1\n  ],\n  "b": {}\n}');
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      expect(JSON.parse(goJson(value, " "))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("a message has the names of its .proto file, without what is at its default", () => {
  const message = {
    containerId: "x",
    pid: 0,
    exitedAt: { seconds: 1n, nanos: 500_000_000 },
    labels: { camelCase: "v" },
  };
  expect(messageToGo(message)).toEqual({
    container_id: "x",
    exited_at: "1970-01-01T00:00:01.5Z",
    labels: { camelCase: "v" },
  });
});
