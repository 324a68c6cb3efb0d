import { parsePlatform } from "@hull/oci/platform";
import { defaultSpec, type Spec } from "@hull/oci/spec";
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
  await host.out(`${goJson(bareSpec(globals.namespace), "    ")}\n`);
  return 0;
};

/** The default of a container without a name; devices are given to it only when it is made. */
function bareSpec(namespace: string): Spec {
  const spec = defaultSpec({ namespace, id: "", cgroup2: false });
  const resources = { devices: [{ allow: false, access: "rwm" }] };
  return { ...spec, linux: { ...spec.linux, cgroupsPath: `/${namespace}`, resources } };
}
