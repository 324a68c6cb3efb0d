import { NamespacesDefinition } from "@hull/api/gen/containerd/services/namespaces/v1/namespaces";
import type { NamespaceStore } from "@hull/engine/namespaces/index";
import { type Service, service } from "../server/service.ts";

export const namespacesService = (namespaces: NamespaceStore): Service =>
  service(NamespacesDefinition, {
    async get({ name }) {
      return { namespace: { name, labels: await namespaces.get(name) } };
    },
    async list() {
      return { namespaces: await namespaces.list() };
    },
    async create({ namespace }) {
      const { name, labels } = namespace ?? unnamed;
      await namespaces.create(name, labels);
      return { namespace: { name, labels } };
    },
    async update({ namespace, updateMask }) {
      const { name, labels } = namespace ?? unnamed;
      const updated = await namespaces.update(name, labels, updateMask);
      return { namespace: { name, labels: updated } };
    },
    async delete({ name }) {
      await namespaces.delete(name);
      return {};
    },
  });

/** What a request without a namespace means: the store refuses it. */
const unnamed = { name: "", labels: {} };
