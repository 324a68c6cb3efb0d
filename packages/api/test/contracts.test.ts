import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

/**
 * The .proto files against the facts: what containerd's, Kubernetes' and ttrpc's own .proto files say, taken from them by machine
 * (`facts/proto-fields.json.gz`). Both are turned into the same lines, one per field, enum value and method, and must be equal.
 */

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Names of messages, enums and services, each with its lines. */
type Lines = Map<string, string[]>;

interface Facts {
  [file: string]: {
    package: string;
    services: Record<
      string,
      { name: string; request: string; clientStream: boolean; response: string; serverStream: boolean }[]
    >;
    messages: Record<
      string,
      { fields: { n: number; name: string; type: string; deprecated?: boolean }[]; reserved?: string[] }
    >;
    enums: Record<string, Record<string, number>>;
  };
}

interface Field {
  name: string;
  number: number;
  label?: string;
  type: string;
  typeName?: string;
  proto3Optional?: boolean;
  oneofIndex?: number;
  options?: { deprecated?: boolean };
}
interface Enum {
  name: string;
  value: { name: string; number?: number }[];
}
interface Message {
  name: string;
  field?: Field[];
  nestedType?: Message[];
  enumType?: Enum[];
  reservedRange?: { start: number; end: number }[];
  options?: { mapEntry?: boolean };
}
interface File {
  package: string;
  messageType?: Message[];
  enumType?: Enum[];
  service?: {
    name: string;
    method: {
      name: string;
      inputType: string;
      outputType: string;
      clientStreaming?: boolean;
      serverStreaming?: boolean;
    }[];
  }[];
}

const facts = JSON.parse(
  gunzipSync(readFileSync(new URL("facts/proto-fields.json.gz", import.meta.url))).toString(),
) as Facts;

/** Kubernetes' file as containerd vendors it, and the later one that is served here, which has all of it. */
const vendoredCri = "vendor/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto";
const servedCri = "cri_head.proto";

/** What is here beyond the facts: Google's own types, gRPC's health service, pprof's profiles, and services of hull's own. */
const beyondFacts = /^(google\.(protobuf|rpc)|grpc\.health\.v1|hull|perftools\.profiles)\./;
/** Fields of hull's own have numbers from here on and names that say so. */
const ownFields = /^\d{5,} \S+ hull_/;

const methodLine = (name: string, from: string, fromStream = false, to: string, toStream = false): string =>
  `${name}(${fromStream ? "stream " : ""}${from}) returns (${toStream ? "stream " : ""}${to})`;

/** The full name that a type's name means in a scope, as protobuf looks it up: from the innermost scope outwards. */
function resolve(name: string, scope: string, known: ReadonlySet<string>): string {
  for (let at = scope; ; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const candidate = at === "" ? name : `${at}.${name}`;
    if (known.has(candidate) || at === "") return candidate;
  }
}

function linesOfFacts(files: string[]): Lines {
  const known = new Set(
    files.flatMap((file) => {
      const { package: name, messages = {}, enums = {} } = facts[file] ?? { package: "" };
      return [...Object.keys(messages), ...Object.keys(enums)].map((type) => `${name}.${type}`);
    }),
  );
  const lines: Lines = new Map();
  for (const file of files) {
    const {
      package: name,
      messages,
      enums,
      services,
    } = facts[file] ?? { package: "", messages: {}, enums: {}, services: {} };
    for (const [message, { fields, reserved = [] }] of Object.entries(messages)) {
      const scope = `${name}.${message}`;
      const typeOf = (type: string): string =>
        type.replace(/[A-Za-z_][\w.]*/g, (word) =>
          /^(map|repeated|optional)$/.test(word) ? word : resolve(word, scope, known),
        );
      lines.set(scope, [
        ...fields.map(
          ({ n, name, type, deprecated }) => `${n} ${typeOf(type)} ${name}${deprecated ? " deprecated" : ""}`,
        ),
        ...reserved.map((range) => `reserved ${range}`),
      ]);
    }
    for (const [type, values] of Object.entries(enums)) {
      lines.set(
        `${name}.${type}`,
        Object.entries(values).map(([value, number]) => `${number} ${value}`),
      );
    }
    for (const [service, methods] of Object.entries(services)) {
      lines.set(
        `${name}.${service}`,
        methods.map(({ name: method, request, clientStream, response, serverStream }) =>
          methodLine(method, resolve(request, name, known), clientStream, resolve(response, name, known), serverStream),
        ),
      );
    }
  }
  return lines;
}

function linesOfDescriptors(files: File[]): Lines {
  const lines: Lines = new Map();
  const addEnum = (scope: string, { name, value }: Enum): void => {
    lines.set(
      `${scope}.${name}`,
      value.map(({ name: value, number = 0 }) => `${number} ${value}`),
    );
  };
  const addMessage = (scope: string, message: Message): void => {
    const name = `${scope}.${message.name}`;
    const nested = message.nestedType ?? [];
    lines.set(name, [
      ...(message.field ?? []).map((field) => fieldLine(name, field, nested)).filter((line) => !ownFields.test(line)),
      ...(message.reservedRange ?? []).map(
        ({ start, end }) => `reserved ${start}${end === start + 1 ? "" : `-${end - 1}`}`,
      ),
    ]);
    for (const child of nested) if (!child.options?.mapEntry) addMessage(name, child);
    for (const child of message.enumType ?? []) addEnum(name, child);
  };
  for (const { package: name, messageType = [], enumType = [], service = [] } of files) {
    for (const message of messageType) addMessage(name, message);
    for (const type of enumType) addEnum(name, type);
    for (const { name: serviceName, method } of service) {
      lines.set(
        `${name}.${serviceName}`,
        method.map(({ name, inputType, outputType, clientStreaming, serverStreaming }) =>
          methodLine(name, inputType.slice(1), clientStreaming, outputType.slice(1), serverStreaming),
        ),
      );
    }
  }
  return lines;
}

function fieldLine(scope: string, field: Field, nested: Message[]): string {
  const scalar = (of: Field): string => of.typeName?.slice(1) ?? of.type.replace("TYPE_", "").toLowerCase();
  const entry = nested.find(({ name, options }) => options?.mapEntry && field.typeName === `.${scope}.${name}`);
  const [key, value] = entry?.field ?? [];
  const repeated = field.label === "LABEL_REPEATED" ? "repeated " : "";
  const optional = field.proto3Optional ? "optional " : "";
  const type = key && value ? `map<${scalar(key)}, ${scalar(value)}>` : `${repeated}${optional}${scalar(field)}`;
  const oneof = field.oneofIndex !== undefined && !field.proto3Optional ? " oneof" : "";
  return `${field.number} ${type} ${field.name}${field.options?.deprecated ? " deprecated" : ""}${oneof}`;
}

const sorted = (lines: Lines): [string, string[]][] =>
  [...lines].map(([name, of]): [string, string[]] => [name, of.toSorted()]).sort(([a], [b]) => (a < b ? -1 : 1));

describe("the contracts", () => {
  const { stdout, stderr, status } = spawnSync(`${root}node_modules/.bin/buf`, ["build", "-o", "-#format=json"], {
    cwd: `${root}proto`,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`buf can't compile proto/: ${stderr}`);
  const here = linesOfDescriptors((JSON.parse(stdout) as { file: File[] }).file);

  test("have every message, field, enum value and method of the facts, and nothing else", () => {
    const expected = linesOfFacts(Object.keys(facts).filter((file) => file !== vendoredCri));
    expect(expected.size).toBeGreaterThan(600);
    const ours = new Map([...here].filter(([name]) => !beyondFacts.test(name)));
    expect(sorted(ours)).toEqual(sorted(expected));
  });

  test("have all of the CRI that containerd serves today (its signals had other names)", () => {
    const today = linesOfFacts(Object.keys(facts).filter((file) => file !== servedCri));
    const missing: string[] = [];
    for (const [name, lines] of today) {
      if (name === "runtime.v1.Signal") continue;
      const ours = new Set(here.get(name));
      missing.push(...lines.filter((line) => !ours.has(line)).map((line) => `${name}: ${line}`));
    }
    expect(missing).toEqual([]);
    const numbers = (lines: string[] = []) => lines.map((line) => Number.parseInt(line, 10));
    expect(numbers(here.get("runtime.v1.Signal"))).toEqual(numbers(today.get("runtime.v1.Signal")));
  });

  test(
    "have their generated code committed",
    () => {
      const check = spawnSync("node", [`${root}scripts/proto.mjs`, "--check"], { encoding: "utf8" });
      expect(check.stderr).toBe("");
      expect(check.status).toBe(0);
    },
    { timeout: 300_000 },
  );
});
