import { availableParallelism } from "node:os";
import { notFound } from "@hull/errors";
import type { ContentStore } from "../content/index.ts";
import type { Applier } from "../diff/index.ts";
import type { ImageStore } from "../images/index.ts";
import type { LeaseStore } from "../leases/index.ts";
import { configTable, flag, integer, text } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { hostPlatform } from "../plugin/platform.ts";
import { pluginTypes } from "../plugin/types.ts";
import { dockerCredentials } from "../registry/index.ts";
import type { Snapshotter } from "../snapshots/index.ts";
import type { ImageVerifier } from "../verifier/index.ts";
import type { Transfer } from "./index.ts";
import { LocalTransfer } from "./local.ts";

const directoriesOf = (path: string): string[] => path.split(":").filter((directory) => directory !== "");

export const transferPlugin = definePlugin({
  type: pluginTypes.transfer,
  id: "local",
  requires: [
    pluginTypes.content,
    pluginTypes.lease,
    pluginTypes.service,
    pluginTypes.snapshotter,
    pluginTypes.imageVerifier,
  ],
  config: configTable({
    max_concurrent_downloads: integer(3, "Layers of an image that are fetched at the same time", { min: 1 }),
    max_concurrent_uploaded_layers: integer(3, "Objects of an image that are pushed at the same time", { min: 1 }),
    max_concurrent_unpacks: integer(
      0,
      "Layers that are unpacked at the same time; 0: as many as there are processors",
      {
        min: 0,
      },
    ),
    check_platform_supported: flag(
      false,
      "Accepted as containerd writes it; a missing snapshotter is an error in any case",
    ),
    concurrent_layer_fetch_buffer: integer(
      0,
      "Bytes of the pieces in which a larger layer is fetched, max_concurrent_downloads of them side by side and in memory; under 512: by one connection",
      { min: 0 },
    ),
    docker_config: text(
      "",
      "Docker's config.json with credentials of registries (auths, credHelpers, credsStore), for clients that bring none; none if empty",
    ),
    config_path: text("", "Directories of hosts.toml files, separated by colons"),
  }),
  start: ({ config, get, all, meta, log, onReload }): Transfer => {
    meta.platforms.push(hostPlatform);
    const snapshotters = all<Snapshotter>(pluginTypes.snapshotter);
    const transfer = new LocalTransfer({
      content: get<ContentStore>(pluginTypes.content),
      images: get<ImageStore>(pluginTypes.service, "images-service"),
      leases: get<LeaseStore>(pluginTypes.lease),
      applier: get<Applier>(pluginTypes.service, "diff-service"),
      snapshotter: (name) => {
        const found = snapshotters.get(name);
        if (found === undefined)
          throw notFound(
            `snapshotter "${name}" was not found: there are ${[...snapshotters.keys()].join(", ") || "none"}`,
          );
        return found;
      },
      maxConcurrentUnpacks:
        config.max_concurrent_unpacks === 0 ? availableParallelism() : config.max_concurrent_unpacks,
      maxConcurrentDownloads: config.max_concurrent_downloads,
      // As containerd has it, smaller pieces are none.
      layerPiece: config.concurrent_layer_fetch_buffer < 512 ? 0 : config.concurrent_layer_fetch_buffer,
      maxConcurrentUploads: config.max_concurrent_uploaded_layers,
      ...(config.docker_config === "" ? {} : { credentials: dockerCredentials(config.docker_config) }),
      verifiers: all<ImageVerifier>(pluginTypes.imageVerifier),
      logger: log,
      hostDirectories: directoriesOf(config.config_path),
    });
    onReload(["config_path", "max_concurrent_downloads"], ({ config_path, max_concurrent_downloads }) =>
      transfer.reconfigure({
        hostDirectories: directoriesOf(config_path),
        maxConcurrentDownloads: max_concurrent_downloads,
      }),
    );
    return transfer;
  },
});
