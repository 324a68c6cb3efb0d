import { describe, expect, test } from "bun:test";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { namespaceHeader } from "@hull/api/metadata";
import type { CallContext, MethodDefinition, ServiceDefinition } from "@hull/api/rpc";
import { type Handler, intercept } from "../server/intercept.ts";
import { type Service, service } from "../server/service.ts";
import { parseAccess } from "./config.ts";
import { limitAccess } from "./limit.ts";
import { serviceRules } from "./methods.ts";

const generated = `${import.meta.dir}/../../../api/src/gen`;

/** Every service that clients call over gRPC, as generated: those of containerd but not of its shims, health, and CRI. */
async function allServices(): Promise<ServiceDefinition[]> {
  const files = ["containerd/services/**/v1/*.ts", "grpc/health/**/*.ts", "cri/**/*.ts"].flatMap((pattern) => [
    ...new Bun.Glob(pattern).scanSync({ cwd: generated }),
  ]);
  const modules = await Promise.all(files.map((file) => import(`${generated}/${file}`) as Promise<object>));
  return modules
    .flatMap((exports) => Object.values(exports) as Partial<ServiceDefinition>[])
    .filter((value): value is ServiceDefinition => value?.fullName !== undefined && value.methods !== undefined)
    .filter(({ fullName }) => !fullName.includes(".ttrpc."));
}

const calling = (namespace: string | undefined): CallContext => ({
  metadata: (key) => (key === namespaceHeader ? namespace : undefined),
  signal: new AbortController().signal,
});

/** Calls a method of a limited service, one that answers whatever it is asked; gives "ok" or the error. */
async function attempt(
  { definition, implementation }: Service,
  key: string,
  { namespace = "default", request = {} }: { namespace?: string; request?: unknown } = {},
): Promise<unknown> {
  try {
    const answer = (implementation as Record<string, Handler>)[key]?.(request, calling(namespace));
    if (definition.methods[key]?.responseStream) for await (const _ of answer as AsyncIterable<unknown>) break;
    else await answer;
    return "ok";
  } catch (error) {
    return error;
  }
}

const answering = (definition: ServiceDefinition): Service => {
  const handlers = Object.entries(definition.methods).map(([key, method]: [string, MethodDefinition]) => [
    key,
    method.responseStream ? async function* () {} : async () => ({}),
  ]);
  return { definition, implementation: Object.fromEntries(handlers) };
};

describe("the rules of access", () => {
  test("know every method of every service, once, and no other", async () => {
    const services = await allServices();
    expect(services.length).toBeGreaterThan(15);
    const found = services.map(({ fullName, methods }) => [fullName, Object.values(methods).map(({ name }) => name)]);
    const ruled = Object.entries(serviceRules).map(([name, { read, write }]) => [name, [...read, ...write]]);
    const sorted = (entries: (string | string[])[][]): object =>
      Object.fromEntries(entries.map(([name, methods]) => [name, [...(methods as string[])].sort()]));
    expect(sorted(ruled as string[][])).toEqual(sorted(found as string[][]));
  });

  test("a read-only socket refuses each method that writes, by its name, and lets each other through", async () => {
    for (const definition of await allServices()) {
      const [limited] = intercept([answering(definition)], [limitAccess({ readOnly: true, namespaces: [] })]);
      for (const [key, { name }] of Object.entries(definition.methods)) {
        const result = await attempt(limited as Service, key);
        const reads = serviceRules[definition.fullName]?.read.includes(name);
        if (reads) expect([definition.fullName, name, result]).toEqual([definition.fullName, name, "ok"]);
        else {
          expect(result).toMatchObject({ code: "permissionDenied" });
          expect(String(result)).toContain(`method "${definition.fullName}/${name}" changes something`);
        }
      }
    }
  });

  test("a method that nobody classified counts as one that writes, and is not for some namespaces", async () => {
    const method = { ...VersionDefinition.methods.version, name: "New" };
    const unknown = { name: "New", fullName: "x.New", methods: { new: method } } as ServiceDefinition;
    const [readOnly] = intercept([answering(unknown)], [limitAccess({ readOnly: true, namespaces: [] })]);
    expect(await attempt(readOnly as Service, "new")).toMatchObject({ code: "permissionDenied" });
    const [some] = intercept([answering(unknown)], [limitAccess({ readOnly: false, namespaces: ["default"] })]);
    expect(await attempt(some as Service, "new")).toMatchObject({ code: "permissionDenied" });
  });

  test("a socket of some namespaces serves those, on every service", async () => {
    const limits = limitAccess({ readOnly: false, namespaces: ["default", "ci"] });
    for (const definition of await allServices()) {
      const scope = serviceRules[definition.fullName]?.scope;
      const [limited] = intercept([answering(definition)], [limits]);
      for (const key of Object.keys(definition.methods)) {
        const [own, other, none] = [
          await attempt(limited as Service, key, { namespace: "ci" }),
          await attempt(limited as Service, key, { namespace: "other" }),
          await attempt(limited as Service, key, { namespace: "" }),
        ];
        const label = `${definition.fullName}/${key}`;
        if (scope === "none") expect([label, own, other, none]).toEqual([label, "ok", "ok", "ok"]);
        if (scope === "cri") expect(own).toMatchObject({ code: "permissionDenied" });
        if (scope !== "metadata") continue;
        expect([label, own]).toEqual([label, "ok"]);
        expect(other).toMatchObject({ code: "permissionDenied" });
        expect(String(other)).toContain('this socket doesn\'t serve namespace "other"');
        expect(none).toMatchObject({ code: "failedPrecondition", message: "namespace is required" });
      }
    }
  });

  test("of namespaces and events it shows its own", async () => {
    const limits = limitAccess({ readOnly: false, namespaces: ["ci"] });
    const namespaces = service(NamespacesDefinition, {
      list: async () => ({ namespaces: [{ name: "default" }, { name: "ci" }] }),
      get: async ({ name }) => ({ namespace: { name } }),
      create: async ({ namespace }) => ({ namespace }),
    });
    const events = service(EventsDefinition, {
      async *subscribe() {
        yield { namespace: "default", topic: "/a" };
        yield { namespace: "ci", topic: "/b" };
      },
      forward: async () => ({}),
      publish: async () => ({}),
    });
    const [names, stream] = intercept([namespaces, events], [limits]) as [Service, Service];
    const handler = (of: Service, key: string) => (of.implementation as Record<string, Handler>)[key] as Handler;
    expect(await handler(names, "list")({}, calling(""))).toEqual({ namespaces: [{ name: "ci" }] });
    expect(await attempt(names, "get", { request: { name: "ci" } })).toBe("ok");
    expect(await attempt(names, "get", { request: { name: "default" } })).toMatchObject({ code: "permissionDenied" });
    const made = { namespace: { name: "x", labels: {} } };
    expect(await attempt(names, "create", { request: made })).toMatchObject({ code: "permissionDenied" });
    const seen = [];
    for await (const event of handler(stream, "subscribe")({}, calling("")) as AsyncIterable<object>) seen.push(event);
    expect(seen).toEqual([{ namespace: "ci", topic: "/b" }]);
    expect(await attempt(stream, "forward", { request: { envelope: { namespace: "ci" } } })).toBe("ok");
    expect(await attempt(stream, "forward", { request: {} })).toMatchObject({ code: "permissionDenied" });
    expect(await attempt(stream, "publish", { namespace: "default" })).toMatchObject({ code: "permissionDenied" });
  });

  test("tables need an address and a limit", () => {
    const parse = (table: object) => () => parseAccess({ metrics: table });
    expect(parse({ read_only: true })).toThrow('table [access.metrics]: key "address" is missing');
    expect(parse({ address: "/s" })).toThrow('set "read_only" or "namespaces"');
    expect(parse({ address: 5 })).toThrow('table [access.metrics]: key "address" must be a string, not 5');
    expect(parse({ address: "/s", namespaces: ["a"] })()).toEqual([
      { name: "metrics", address: "/s", owner: { uid: 0, gid: 0 }, readOnly: false, namespaces: ["a"] },
    ]);
  });

  test("what isn't limited costs nothing", () => {
    const images = service(ImagesDefinition, {});
    const next: Handler = () => undefined;
    const method = images.definition.methods.get as MethodDefinition;
    const ref = { service: ImagesDefinition.fullName, method };
    expect(limitAccess({ readOnly: true, namespaces: [] })(ref, next)).toBe(next);
  });
});
