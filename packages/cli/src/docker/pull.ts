import type { Client } from "@hull/client/client";
import { getImage, type Image, isUnpacked, type PlatformImage, platformImage } from "@hull/client/images";
import { pullImage } from "@hull/client/transfer";
import { unpackImage } from "@hull/client/unpack";
import { canceled, HullError, invalidArgument, isCode, notFound } from "@hull/errors";
import type { Platform } from "@hull/oci/descriptor";
import { hostPlatform } from "@hull/oci/platform";
import type { Host } from "../command/index.ts";
import { registryCredentials } from "./credentials.ts";
import { findImages, fullName, nearImage } from "./find.ts";
import { PullProgress } from "./progress.ts";

export interface PullRequest {
  /** This host's unless told. */
  readonly platform?: Platform | undefined;
  readonly client: Client;
  readonly host: Host;
  readonly snapshotter: string;
  readonly plainHttp: boolean;
  readonly quiet: boolean;
}

/** The status of a program that Ctrl-C ended. */
export const interrupted = 130;

/**
 * Pulls an image for this host and unpacks it, showing its progress on stderr.
 * @throws Canceled on Ctrl-C; what was fetched by then is kept for the next pull
 */
export async function pull(request: PullRequest, reference: string): Promise<void> {
  const { client, host, snapshotter, plainHttp, quiet } = request;
  const abort = new AbortController();
  const onInterrupt = (): void => abort.abort(canceled("interrupted"));
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  using progress = new PullProgress(host, quiet);
  try {
    await pullImage(client, reference, {
      plainHttp,
      credentials: registryCredentials(),
      platforms: [request.platform ?? hostPlatform()],
      unpack: snapshotter,
      signal: abort.signal,
      onProgress: (step) => progress.update(step),
    });
    progress.finish();
  } catch (error) {
    if (abort.signal.aborted)
      throw canceled("interrupted: what was fetched is kept, and pulling again goes on from there", { cause: error });
    const { code, message } = HullError.from(error);
    throw new HullError(code, message.includes(reference) ? message : `"${reference}" can't be pulled: ${message}`, {
      cause: error,
    });
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

/** The image to run, there or pulled as the policy says, with its layers unpacked. */
export async function imageToRun(
  request: PullRequest,
  text: string,
  policy: string,
): Promise<{ image: Image; platformImage: PlatformImage }> {
  if (policy !== "missing" && policy !== "always" && policy !== "never")
    throw invalidArgument(`pull policy "${policy}" is not one of missing, always, never`);
  const { client, host, snapshotter, platform = hostPlatform() } = request;
  const known = policy === "always" ? undefined : await localImage(client, text);
  if (known !== undefined) {
    const found = await platformImage(client, known.target, platform).catch((error: unknown) => {
      // Only another platform's was pulled, or content is missing: a pull puts both right.
      if (isCode(error, "notFound") && policy === "missing") return undefined;
      throw error;
    });
    if (found !== undefined && (await isUnpacked(client, found, snapshotter)))
      return { image: known, platformImage: found };
    if (found !== undefined && (await unpackedHere(client, found, snapshotter)))
      return { image: known, platformImage: found };
  }
  if (policy === "never") throw notFound(`no such image: "${text}", and --pull never keeps it from being pulled`);
  const reference = fullName(text);
  if (known === undefined && policy === "missing")
    host.err(`hull: image "${text}" is not here yet: pulling ${reference}\n`);
  try {
    await pull(request, reference);
  } catch (error) {
    throw await withHint(client, text, error);
  }
  const image = await getImage(client, reference);
  return { image, platformImage: await platformImage(client, image.target, platform) };
}

/** Unpacks an image that another client left packed. Gives false if layers are missing. */
async function unpackedHere(client: Client, image: PlatformImage, snapshotter: string): Promise<boolean> {
  try {
    await unpackImage(client, image, { snapshotter });
    return true;
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
    return false;
  }
}

/** The error with the image that is here and was perhaps meant. */
async function withHint(client: Client, text: string, thrown: unknown): Promise<unknown> {
  if (isCode(thrown, "canceled")) return thrown;
  const near = await nearImage(client, text);
  const { code, message } = HullError.from(thrown);
  return near === undefined
    ? thrown
    : new HullError(code, `${message}; did you mean "${near}", which is here?`, { cause: thrown });
}

/** An image by name, which needs one call, or else by id. */
async function localImage(client: Client, text: string): Promise<Image | undefined> {
  try {
    return await getImage(client, fullName(text));
  } catch (error) {
    if (!isCode(error, "notFound") && !isCode(error, "invalidArgument")) throw error;
  }
  try {
    return (await findImages(client, text))[0];
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
}
