import type { MethodRef } from "@hull/api/call";
import { namespaceHeader } from "@hull/api/metadata";
import type { CallContext } from "@hull/api/rpc";
import { failedPrecondition, permissionDenied } from "@hull/errors";
import type { Handler, Interceptor } from "../server/intercept.ts";
import type { AccessLimits } from "./index.ts";
import { criNamespace, effectOf, serviceRules } from "./methods.ts";

/** Refuses calls that a socket isn't for, with PermissionDenied and the method's name. */
export function limitAccess({ readOnly, namespaces }: AccessLimits): Interceptor {
  const allowed = namespaces.length === 0 ? undefined : new Set(namespaces);
  return (ref, next) => {
    const name = `${ref.service}/${ref.method.name}`;
    if (readOnly && effectOf(ref.service, ref.method.name) === "write") {
      return refuse(ref, `method "${name}" changes something, and this socket is for reading only`);
    }
    return allowed === undefined ? next : inNamespaces(ref, next, allowed);
  };
}

/** Lets calls through that are about one of these namespaces, or about none. */
function inNamespaces(ref: MethodRef, next: Handler, allowed: ReadonlySet<string>): Handler {
  const name = `${ref.service}/${ref.method.name}`;
  const check = (namespace: string): void => {
    if (!allowed.has(namespace))
      throw permissionDenied(`method "${name}": this socket doesn't serve namespace "${namespace}"`);
  };
  switch (serviceRules[ref.service]?.scope) {
    case "none":
      return next;
    case "cri":
      if (allowed.has(criNamespace)) return next;
      return refuse(ref, `method "${name}": this socket doesn't serve namespace "${criNamespace}"`);
    case "message":
      return byMessage(ref, next, allowed, check);
    case "metadata":
      return guarded(ref, next, (_, call) => checkMetadata(call, check));
    // A service that nobody has thought of.
    case undefined:
      return refuse(ref, `method "${name}" is not for sockets of some namespaces`);
  }
}

/** The services whose requests or answers name namespaces. */
function byMessage(
  ref: MethodRef,
  next: Handler,
  allowed: ReadonlySet<string>,
  check: (namespace: string) => void,
): Handler {
  switch (`${ref.service}/${ref.method.name}`) {
    case "containerd.services.namespaces.v1.Namespaces/List":
      return async (request, call) => {
        const { namespaces } = (await next(request, call)) as { namespaces?: { name?: string }[] };
        return { namespaces: namespaces?.filter(({ name = "" }) => allowed.has(name)) };
      };
    case "containerd.services.namespaces.v1.Namespaces/Create":
    case "containerd.services.namespaces.v1.Namespaces/Update":
      return guarded(ref, next, (request) =>
        check((request as { namespace?: { name?: string } }).namespace?.name ?? ""),
      );
    case "containerd.services.namespaces.v1.Namespaces/Get":
    case "containerd.services.namespaces.v1.Namespaces/Delete":
      return guarded(ref, next, (request) => check((request as { name?: string }).name ?? ""));
    case "containerd.services.events.v1.Events/Forward":
      return guarded(ref, next, (request) => check((request as { envelope?: Envelope }).envelope?.namespace ?? ""));
    case "containerd.services.events.v1.Events/Subscribe":
      return (request, call) => onlyOf(next(request, call) as AsyncIterable<Envelope>, allowed);
    default:
      return guarded(ref, next, (_, call) => checkMetadata(call, check));
  }
}

interface Envelope {
  namespace?: string;
}

async function* onlyOf(events: AsyncIterable<Envelope>, allowed: ReadonlySet<string>): AsyncGenerator<Envelope> {
  for await (const event of events) if (allowed.has(event.namespace ?? "")) yield event;
}

function checkMetadata(call: CallContext, check: (namespace: string) => void): void {
  const namespace = call.metadata(namespaceHeader) ?? "";
  if (namespace === "") throw failedPrecondition("namespace is required");
  check(namespace);
}

/** A handler that asks first. What the question throws ends the call. */
function guarded(ref: MethodRef, next: Handler, ask: (request: unknown, call: CallContext) => void): Handler {
  if (ref.method.responseStream) {
    return async function* (request, call) {
      ask(request, call);
      yield* next(request, call) as AsyncIterable<unknown>;
    };
  }
  return async (request, call) => {
    ask(request, call);
    return await next(request, call);
  };
}

const refuse = (ref: MethodRef, message: string): Handler =>
  guarded(
    ref,
    () => undefined,
    () => {
      throw permissionDenied(message);
    },
  );
