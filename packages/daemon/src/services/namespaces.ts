import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import { namespaceHeader } from "@hull/api/metadata";
import type { CallContext } from "@hull/api/rpc";
import type { NamespaceStore } from "@hull/engine/namespaces/index";
import { type Service, service } from "../server/service.ts";
import { need } from "./wire.ts";

export const namespacesService = (namespaces: NamespaceStore): Service =>
  service(NamespacesDefinition, {
    async get({ name }) {
      return { namespace: { name, labels: await namespaces.get(name) } };
    },
    async list() {
      return { namespaces: await namespaces.list() };
    },
    async create(request, call) {
      const { name, labels } = need(request.namespace, "namespace");
      await namespaces.create(name, labels, callerOf(call));
      return { namespace: { name, labels: await namespaces.get(name) } };
    },
    async update(request, call) {
      const { name, labels } = need(request.namespace, "namespace");
      const updated = await namespaces.update(name, labels, request.updateMask, callerOf(call));
      return { namespace: { name, labels: updated } };
    },
    async delete({ name }) {
      await namespaces.delete(name);
      return {};
    },
  });

/** The namespace that a call is made in; these calls need none. */
const callerOf = (call: CallContext): string | undefined => call.metadata(namespaceHeader);
