import { convertImage } from "@hull/client/convert";
import { hostPlatform, parsePlatform } from "@hull/oci/platform";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { CtrError } from "./errors.ts";
import type { imagesConvert } from "./flags.ts";

/** Prints the digest of what the image became. */
export const convert: CtrAction<typeof imagesConvert> = async ({ flags, args, globals, host }) => {
  const [source = "", target = ""] = args;
  if (source === "" || target === "") throw new CtrError("src and target image need to be specified");
  if (flags.uncompress && flags.zstd) throw new CtrError("--uncompress and --zstd can't be given together");
  const platforms = flags.platform.map((text) => parsePlatform(text));
  return await withClient(globals, async (client) => {
    const { target: converted } = await convertImage(client, source, target, {
      ...(flags.uncompress ? { layers: "uncompressed" } : flags.zstd ? { layers: "zstd" } : {}),
      oci: flags.oci,
      platforms: flags["all-platforms"] ? "all" : platforms.length > 0 ? platforms : [hostPlatform()],
    });
    await host.out(`${converted.digest}\n`);
    return 0;
  });
};
