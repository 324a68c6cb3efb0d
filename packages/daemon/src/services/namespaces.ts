import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
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
    async create(request) {
      const { name, labels } = need(request.namespace, "namespace");
      await namespaces.create(name, labels);
      return { namespace: { name, labels: await namespaces.get(name) } };
    },
    async update(request) {
      const { name, labels } = need(request.namespace, "namespace");
      return { namespace: { name, labels: await namespaces.update(name, labels, request.updateMask) } };
    },
    async delete({ name }) {
      await namespaces.delete(name);
      return {};
    },
  });
