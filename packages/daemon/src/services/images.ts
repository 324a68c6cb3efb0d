import {
  ImagesDefinition,
  ListImagesResponse,
  type Image as WireImage,
} from "@hull/api/gen/containerd/services/images/v1/images";
import { encodedInSteps, pagesOf } from "@hull/api/steps";
import { nanosOfTimestamp, timestampOfNanos } from "@hull/api/timestamp";
import type { Image, ImageInput, ImageStore } from "@hull/engine/images/index";
import { type Service, service } from "../server/service.ts";
import { contextOf, fromWireDescriptor, toWireDescriptor } from "./wire.ts";

export const imagesService = (images: ImageStore): Service =>
  service(ImagesDefinition, {
    async get({ name }, call) {
      return { image: toWireImage(await images.get(contextOf(call), name)) };
    },
    async list({ filters }, call) {
      const found = await images.list(contextOf(call), filters);
      return await encodedInSteps(
        ListImagesResponse,
        pagesOf(found).map((page) => ({ images: page.map(toWireImage) })),
      );
    },
    async create({ image, sourceDateEpoch }, call) {
      const time = nanosOfTimestamp(sourceDateEpoch);
      const input = { ...fromWireImage(image), createdAt: time, updatedAt: time };
      return { image: toWireImage(await images.create(contextOf(call), input)) };
    },
    async update({ image, updateMask, sourceDateEpoch }, call) {
      const input = { ...fromWireImage(image), updatedAt: nanosOfTimestamp(sourceDateEpoch) };
      return { image: toWireImage(await images.update(contextOf(call), input, updateMask)) };
    },
    async delete({ name, sync, target }, call) {
      const options = { sync, target: target === undefined ? undefined : fromWireDescriptor(target) };
      await images.delete(contextOf(call), name, options);
      return {};
    },
  });

function fromWireImage(image: WireImage | undefined): ImageInput {
  const { name = "", labels = {}, target } = image ?? {};
  // An update by mask may leave the target out; a create with an empty one is refused by the store.
  const descriptor = target === undefined ? { mediaType: "", digest: "", size: 0 } : fromWireDescriptor(target);
  return { name, labels, target: descriptor };
}

const toWireImage = ({ name, labels, target, createdAt, updatedAt }: Image): WireImage => ({
  name,
  labels,
  target: toWireDescriptor(target),
  createdAt: timestampOfNanos(createdAt),
  updatedAt: timestampOfNanos(updatedAt),
});
