import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { ImagesDefinition } from "@hull/api/gen/containerd/services/images/v1/images";
import { HullError } from "@hull/errors";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { withClass } from "./errors.ts";
import type { imagesPrune } from "./flags.ts";
import { logLine } from "./log.ts";

/** Removes the images that no container was made of. */
export const pruneImages: CtrAction<typeof imagesPrune> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    if (!flags.all) {
      logLine(host, "warning", "No images pruned. `image prune` requires --all to be specified.");
      return 0;
    }
    const { containers } = await client.service(ContainersDefinition).list({});
    const used = new Set(containers.map(({ image }) => image));
    const service = client.service(ImagesDefinition);
    for (const { name } of (await service.list({})).images) {
      if (used.has(name)) continue;
      try {
        await service.delete({ name });
      } catch (error) {
        logLine(host, "warning", `failed to delete image ${name}`, { error: withClass(HullError.from(error)) });
      }
    }
    return 0;
  });
