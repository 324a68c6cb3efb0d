import { MountsDefinition } from "@hull/api/gen/containerd/services/mounts/v1/mounts";
import type { ActivationInfo } from "@hull/api/gen/containerd/types/mount";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { Activation, MountManager } from "@hull/engine/mount/manager/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireMount, need, toWireMount } from "./wire.ts";

export const mountsService = (manager: MountManager): Service =>
  service(MountsDefinition, {
    async activate({ name, mounts, labels, temporary }, call) {
      const options = { labels, temporary };
      return { info: toWireInfo(await manager.activate(contextOf(call), name, mounts.map(fromWireMount), options)) };
    },
    async deactivate({ name }, call) {
      await manager.deactivate(contextOf(call), name);
      return {};
    },
    async info({ name }, call) {
      return { info: toWireInfo(await manager.info(contextOf(call), name)) };
    },
    async update({ info, updateMask }, call) {
      const { name, labels } = need(info, "info");
      return { info: toWireInfo(await manager.update(contextOf(call), name, labels, updateMask)) };
    },
    async *list({ filters }, call) {
      for (const activation of await manager.list(contextOf(call), filters)) yield { info: toWireInfo(activation) };
    },
  });

const toWireInfo = ({ name, labels, active, system }: Activation): ActivationInfo => ({
  name,
  labels,
  active: active.map(({ mount, mountPoint, mountedAt }) => ({
    mount: toWireMount(mount),
    mountPoint,
    mountedAt: timestampOfNanos(mountedAt),
    data: {},
  })),
  system: system.map(toWireMount),
});
