import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { type Service, service } from "../server/service.ts";

/** Tells which version clients are to take this for (see `releaseOf`). `revision` names the source it was built from. */
export const versionService = (version: string, revision: string): Service =>
  service(VersionDefinition, {
    async version() {
      return { version, revision };
    },
  });
