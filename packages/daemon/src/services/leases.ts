import { LeasesDefinition, type Lease as WireLease } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { Lease, LeaseStore } from "@hull/engine/leases/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, need } from "./wire.ts";

export const leasesService = (leases: LeaseStore): Service =>
  service(LeasesDefinition, {
    async create({ id, labels }, call) {
      return { lease: toWireLease(await leases.create(contextOf(call), id, labels)) };
    },
    async delete({ id, sync }, call) {
      await leases.delete(contextOf(call), id, { sync });
      return {};
    },
    async list({ filters }, call) {
      return { leases: (await leases.list(contextOf(call), filters)).map(toWireLease) };
    },
    async addResource({ id, resource }, call) {
      await leases.addResource(contextOf(call), id, need(resource, "resource"));
      return {};
    },
    async deleteResource({ id, resource }, call) {
      await leases.deleteResource(contextOf(call), id, need(resource, "resource"));
      return {};
    },
    async listResources({ id }, call) {
      return { resources: await leases.listResources(contextOf(call), id) };
    },
  });

const toWireLease = ({ id, labels, createdAt }: Lease): WireLease => ({
  id,
  labels,
  createdAt: timestampOfNanos(createdAt),
});
