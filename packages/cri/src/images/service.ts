import type {
  FilesystemUsage,
  Image,
  ImageServiceDefinition,
  ImageSpec,
  PodSandboxConfig,
} from "@hull/api/gen/cri/v1/cri";
import type { ServiceImplementation } from "@hull/api/rpc";
import type { Logger } from "@hull/engine/log";
import { shownImageSpec } from "./image-spec.ts";
import type { CriImages, IndexedImage } from "./index.ts";

/** Says which handler an image is for, in the pod of clients that don't say it in the image. Deprecated. */
const handlerAnnotation = "io.containerd.cri.runtime-handler";

/** Images in one message of a stream. */
const batch = 500;

/** Kubernetes' ImageService. */
export const imageService = (images: CriImages, log: Logger): ServiceImplementation<ImageServiceDefinition> => ({
  async listImages({ filter }) {
    return { images: matching(images, filter?.image).map(toWire) };
  },
  async *streamImages({ filter }) {
    const found = matching(images, filter?.image).map(toWire);
    for (let at = 0; at < found.length; at += batch) yield { images: found.slice(at, at + batch) };
  },
  async imageStatus({ image, verbose }) {
    const found = images.find(image?.image ?? "");
    if (found === undefined) return {};
    if (!verbose) return { image: toWire(found) };
    const info = { chainID: found.chainId, imageSpec: shownImageSpec(await images.configOf(found)) };
    return { image: toWire(found), info: { info: JSON.stringify(info) } };
  },
  async pullImage({ image, auth, sandboxConfig }, { signal }) {
    const handler = image?.runtimeHandler || handlerOfPod(sandboxConfig, log);
    const { id } = await images.pull({ image: image?.image ?? "", handler, auth }, signal);
    return { imageRef: id };
  },
  async removeImage({ image }) {
    await images.remove(image?.image ?? "");
    return {};
  },
  async imageFsInfo() {
    const uses = await images.fileSystems();
    return {
      imageFilesystems: uses.map(
        ({ at, mountpoint, size, inodes }): FilesystemUsage => ({
          timestamp: at,
          fsId: { mountpoint },
          usedBytes: { value: BigInt(size) },
          inodesUsed: { value: BigInt(inodes) },
        }),
      ),
    };
  },
});

function matching(images: CriImages, wanted: ImageSpec | undefined): IndexedImage[] {
  const reference = wanted?.image ?? "";
  if (reference === "") return images.list();
  const found = images.find(reference);
  return found === undefined ? [] : [found];
}

function toWire({ id, tags, digests, size, config, pinned }: IndexedImage): Image {
  return {
    id,
    repoTags: [...tags],
    repoDigests: [...digests],
    size: BigInt(size),
    ...userOf(config.config.user),
    spec: undefined,
    pinned,
  };
}

/** `user[:group]`, the user by number or by name. */
function userOf(text: string): Pick<Image, "uid" | "username"> {
  const [user = ""] = text.split(":", 1);
  const uid = /^[+-]?\d{1,18}$/.test(user) ? BigInt(user.replace("+", "")) : undefined;
  return uid === undefined ? { uid, username: user } : { uid: { value: uid }, username: "" };
}

function handlerOfPod(config: PodSandboxConfig | undefined, log: Logger): string {
  const handler = config?.annotations[handlerAnnotation] ?? "";
  if (handler !== "")
    log.log(
      "warn",
      `The annotation "${handlerAnnotation}" is deprecated: name the runtime handler in the image's spec`,
    );
  return handler;
}
