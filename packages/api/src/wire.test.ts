import { describe, expect, test } from "bun:test";
import { type Code, codes, HullError, notFound } from "@hull/errors";
import fc from "fast-check";
import { TaskExit } from "./gen/containerd/events/task.ts";
import { fromWireStatus, toWireStatus } from "./status.ts";
import {
  dateOfTimestamp,
  isZeroTime,
  nanosOfRfc3339,
  nanosOfTimestamp,
  rfc3339OfNanos,
  timestampOfDate,
  timestampOfNanos,
  zeroTime,
} from "./timestamp.ts";
import {
  decodeAny,
  decodeJsonAny,
  encodeAny,
  encodeJsonAny,
  isKnownType,
  isType,
  jsonTypes,
  knownTypes,
  packAny,
  typeNameOf,
  unpackAny,
} from "./typeurl.ts";

describe("an error on the wire", () => {
  test("ends with its class text, once", () => {
    expect(toWireStatus(notFound('image "a"'))).toEqual({ code: 5, message: 'image "a": not found' });
    expect(toWireStatus(notFound('image "a" not found'))).toEqual({ code: 5, message: 'image "a" not found' });
    expect(toWireStatus(notFound(""))).toEqual({ code: 5, message: "not found" });
    expect(toWireStatus(new Error("oops"))).toEqual({ code: 2, message: "oops" });
    expect(toWireStatus("text")).toEqual({ code: 2, message: "text" });
  });

  test("loses its class text when it comes in", () => {
    expect(fromWireStatus({ code: 6, message: 'namespace "a": already exists' })).toMatchObject({
      code: "alreadyExists",
      message: 'namespace "a"',
    });
    expect(fromWireStatus({ code: 9, message: "a: conflict" })).toMatchObject({ message: "a: conflict" });
    expect(fromWireStatus({ code: 77, message: "x" })).toMatchObject({ code: "unknown", message: "x" });
  });

  test("comes back as it was", () => {
    const code = fc.constantFrom(...(Object.keys(codes) as Code[]));
    fc.assert(
      fc.property(code, fc.string({ minLength: 1 }), (code, message) => {
        fc.pre(!message.endsWith(codes[code].text));
        expect(fromWireStatus(toWireStatus(new HullError(code, message)))).toMatchObject({ code, message });
      }),
    );
  });
});

describe("a time on the wire", () => {
  test("is the year 1 if there is none", () => {
    expect(timestampOfNanos(undefined)).toEqual({ seconds: -62135596800n, nanos: 0 });
    expect([undefined, zeroTime()].map(nanosOfTimestamp)).toEqual([undefined, undefined]);
    expect([undefined, zeroTime(), timestampOfNanos(0n)].map(isZeroTime)).toEqual([true, true, false]);
    expect(timestampOfDate(undefined)).toEqual(zeroTime());
    expect(dateOfTimestamp(zeroTime())).toBeUndefined();
  });

  test("keeps its nanoseconds, also before 1970", () => {
    expect(timestampOfNanos(-1n)).toEqual({ seconds: -1n, nanos: 999_999_999 });
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 63n }), (nanos) => {
        expect(nanosOfTimestamp(timestampOfNanos(nanos))).toBe(nanos);
        expect(nanosOfRfc3339(rfc3339OfNanos(nanos))).toBe(nanos);
      }),
    );
    const date = new Date("2026-03-04T05:06:07.089Z");
    expect(dateOfTimestamp(timestampOfDate(date))).toEqual(date);
  });

  test("reads and writes as Go's RFC3339Nano", () => {
    const nanos = nanosOfRfc3339("2026-01-02T03:04:05.060000700Z");
    expect(rfc3339OfNanos(nanos)).toBe("2026-01-02T03:04:05.0600007Z");
    expect(rfc3339OfNanos(nanosOfRfc3339("2026-01-02T03:04:05+02:00"))).toBe("2026-01-02T01:04:05Z");
    expect(rfc3339OfNanos(nanosOfRfc3339("0001-01-01T00:00:00Z"))).toBe("0001-01-01T00:00:00Z");
    for (const text of ["", "2026-02-30T00:00:00Z", "2026-01-02", "2026-01-02T25:00:00Z", "2026-01-02T03:04:05"]) {
      expect(() => nanosOfRfc3339(text)).toThrow(HullError);
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          nanosOfRfc3339(text);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(HullError);
        }
      }),
    );
  });
});

describe("an Any", () => {
  test("has the bare name of its message, and is read with a prefix too", async () => {
    const any = await packAny("containerd.events.TaskExit", { containerId: "a", exitStatus: 3 });
    expect(any.typeUrl).toBe("containerd.events.TaskExit");
    for (const typeUrl of [any.typeUrl, `type.googleapis.com/${any.typeUrl}`]) {
      const { typeName, message } = await unpackAny({ ...any, typeUrl });
      expect(typeName).toBe("containerd.events.TaskExit");
      expect(message).toMatchObject({ containerId: "a", exitStatus: 3 });
    }
    expect(encodeAny("containerd.events.TaskExit", TaskExit, { containerId: "a", exitStatus: 3 })).toEqual(any);
    expect(decodeAny(any, "containerd.events.TaskExit", TaskExit).containerId).toBe("a");
  });

  test("of another or an unknown type, or of bytes that are no message, is refused", async () => {
    const any = { typeUrl: "x.Y", value: Uint8Array.of(0xff) };
    expect(isKnownType("x.Y") || isKnownType("toString")).toBe(false);
    expect(await unpackAny(any).catch((thrown: unknown) => thrown)).toMatchObject({ code: "notFound" });
    expect(() => decodeAny(any, "containerd.events.TaskExit", TaskExit)).toThrow('"x.Y"');
    expect(() =>
      decodeAny({ ...any, typeUrl: "containerd.events.TaskExit" }, "containerd.events.TaskExit", TaskExit),
    ).toThrow(HullError);
  });

  test("holds JSON under a URL of its own", () => {
    const any = encodeJsonAny(jsonTypes.spec, { ociVersion: "1.2.0" });
    expect(Buffer.from(any.value).toString()).toBe('{"ociVersion":"1.2.0"}');
    expect(typeNameOf(any.typeUrl)).toBe(jsonTypes.spec);
    expect(isType(any, "Spec")).toBe(false);
    expect(decodeJsonAny(any, jsonTypes.spec)).toEqual({ ociVersion: "1.2.0" });
    expect(() => decodeJsonAny(any, jsonTypes.process)).toThrow(HullError);
    expect(() => decodeJsonAny({ ...any, value: Uint8Array.of(0xff) }, jsonTypes.spec)).toThrow(HullError);
  });

  test("of every known type has a message of that name", async () => {
    for (const name of knownTypes) {
      const { typeName } = await unpackAny({ typeUrl: name, value: new Uint8Array(0) });
      expect(typeName).toBe(name);
    }
    expect(knownTypes.length).toBeGreaterThan(45);
  });
});
