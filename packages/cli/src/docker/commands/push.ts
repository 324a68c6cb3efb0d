import { pushImage } from "@hull/client/transfer";
import { canceled, HullError, invalidArgument, isCode } from "@hull/errors";
import { parsePlatform } from "@hull/oci/platform";
import { registryCredentials } from "../credentials.ts";
import { findImages, needArguments } from "../find.ts";
import type { Call } from "../globals.ts";
import { PullProgress } from "../progress.ts";
import { interrupted } from "../pull.ts";
import { explain, openSession } from "../session.ts";

/** `hull push IMAGE…`: to the registry that the image's own name says. */
export async function push(
  call: Call<{ quiet: boolean; platform: string | undefined; "plain-http": boolean }>,
): Promise<number> {
  const { args, flags, globals, host } = call;
  needArguments(args, 1, Number.POSITIVE_INFINITY, "an image is");
  const platforms = flags.platform === undefined ? [] : [parsePlatform(flags.platform)];
  await using client = await openSession(call);
  for (const text of args) {
    const [image, ...others] = await findImages(client, text);
    if (image === undefined || others.length > 0)
      throw invalidArgument(`"${text}" is the id of an image with several names: push it by one of them`);
    const abort = new AbortController();
    const onInterrupt = (): void => abort.abort(canceled("interrupted"));
    process.once("SIGINT", onInterrupt);
    process.once("SIGTERM", onInterrupt);
    using progress = new PullProgress(host, flags.quiet);
    try {
      await pushImage(client, image.name, {
        platforms,
        plainHttp: flags["plain-http"],
        credentials: registryCredentials(),
        signal: abort.signal,
        onProgress: (step) => progress.update(step),
      });
    } catch (error) {
      if (abort.signal.aborted) {
        host.err(`hull: ${explain(canceled("interrupted"), globals)}\n`);
        return interrupted;
      }
      const { code, message } = HullError.from(error);
      const hint = isCode(error, "unauthenticated") ? ' ("hull login" keeps a name and password)' : "";
      throw new HullError(code, `"${image.name}" can't be pushed: ${message}${hint}`, { cause: error });
    } finally {
      process.off("SIGINT", onInterrupt);
      process.off("SIGTERM", onInterrupt);
    }
    progress.finish("pushed");
    await host.out(`${image.name}: digest: ${image.target.digest} size: ${image.target.size}\n`);
  }
  return 0;
}
