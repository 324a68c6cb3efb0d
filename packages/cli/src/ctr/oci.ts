import { parsePlatform } from "@hull/oci/platform";
import { defaultSpec } from "@hull/oci/spec";
import type { CtrAction } from "./action.ts";
import { CtrError } from "./errors.ts";
import type { ociSpec } from "./flags.ts";
import { goJson } from "./go-json.ts";

export const printSpec: CtrAction<typeof ociSpec> = async ({ flags, globals, host }) => {
  const { platform } = flags;
  if (platform !== undefined && platform !== "") {
    const { os } = parsePlatform(platform);
    if (os !== "linux") throw new CtrError(`a spec for "${os}" is not supported by hull: only linux`);
  }
  await host.out(`${goJson(defaultSpec({ namespace: globals.namespace, id: "", cgroup2: false }), "    ")}\n`);
  return 0;
};
