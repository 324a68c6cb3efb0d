import {
  ContainersDefinition,
  ListContainersResponse,
  Container as WireContainer,
} from "@hull/api/gen/containerd/services/containers/v1/containers";
import { encodedInSteps, pagesOf } from "@hull/api/steps";
import { timestampOfNanos } from "@hull/api/timestamp";
import type { Container, ContainerInput, ContainerStore } from "@hull/engine/containers/index";
import type { StandIns } from "@hull/engine/containers/stand-ins";
import { type Service, service } from "../server/service.ts";
import { contextOf } from "./wire.ts";

export const containersService = (containers: ContainerStore, standIns: StandIns): Service =>
  service(ContainersDefinition, {
    async get({ id }, call) {
      const ctx = contextOf(call);
      return { container: toWireContainer(standIns.find(ctx, id)?.container ?? (await containers.get(ctx, id))) };
    },
    async list({ filters }, call) {
      const found = await containers.list(contextOf(call), filters);
      const pages = pagesOf(found).map((page) => ({ containers: page.map(toWireContainer) }));
      return await encodedInSteps(ListContainersResponse, pages);
    },
    async *listStream({ filters }, call) {
      for (const container of await containers.list(contextOf(call), filters)) {
        yield { container: toWireContainer(container) };
      }
    },
    async create({ container }, call) {
      return { container: toWireContainer(await containers.create(contextOf(call), fromWireContainer(container))) };
    },
    async update({ container, updateMask }, call) {
      const updated = await containers.update(contextOf(call), fromWireContainer(container), updateMask);
      return { container: toWireContainer(updated) };
    },
    async delete({ id }, call) {
      await containers.delete(contextOf(call), id);
      return {};
    },
  });

function fromWireContainer(container: WireContainer | undefined): ContainerInput {
  const { createdAt: _, updatedAt: __, runtime, ...rest } = container ?? WireContainer.fromPartial({});
  return { ...rest, runtime: { name: runtime?.name ?? "", options: runtime?.options } };
}

function toWireContainer(container: Container): WireContainer {
  const { createdAt, updatedAt, runtime, ...rest } = container;
  return {
    ...rest,
    extensions: { ...container.extensions },
    runtime: { name: runtime.name, options: runtime.options },
    createdAt: timestampOfNanos(createdAt),
    updatedAt: timestampOfNanos(updatedAt),
  };
}
