import { Options as RuncOptions } from "@hull/api/gen/containerd/runc/v1/options";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { RuntimeInfo, RuntimeRequest } from "@hull/api/gen/containerd/types/introspection";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { decodeAny, encodeAny, isKnownType, typeNameOf, unpackAny } from "@hull/api/typeurl";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { runtimeOptions } from "./create.ts";
import { CtrError } from "./errors.ts";
import type { pluginsInspectRuntime } from "./flags.ts";
import { goJson, messageToGo } from "./go-json.ts";

const requestType = "containerd.types.RuntimeRequest";
const infoType = "containerd.types.RuntimeInfo";

export const inspectRuntime: CtrAction<typeof pluginsInspectRuntime> = ({ flags, globals, host }) =>
  withClient(globals, async (client) => {
    const request = { runtimePath: flags.runtime, options: runtimeOptions(flags) };
    const options = encodeAny(requestType, RuntimeRequest, request);
    const id = { type: "io.containerd.runtime.v2", id: "task" };
    const { extra } = await client.service(IntrospectionDefinition).pluginInfo({ ...id, options });
    if (extra === undefined) throw new CtrError(`runtime "${flags.runtime}" told nothing about itself`);
    const info = decodeAny(extra, infoType, RuntimeInfo);
    const { version } = info;
    const shown = {
      Name: info.name,
      Version: { Version: version?.version ?? "", Revision: version?.revision ?? "" },
      Options: await optionsOf(info.options),
      Features: info.features === undefined ? null : jsonOf(info.features),
      Annotations: Object.keys(info.annotations).length === 0 ? null : info.annotations,
    };
    await host.out(`${goJson(shown, "    ")}\n`);
    return 0;
  });

async function optionsOf(options: Any | undefined): Promise<unknown> {
  if (options === undefined) return null;
  const type = typeNameOf(options.typeUrl);
  if (type === "containerd.runc.v1.Options") return messageToGo(decodeAny(options, type, RuncOptions));
  return isKnownType(type) ? messageToGo((await unpackAny(options)).message) : { type_url: options.typeUrl };
}

/** @throws CtrError for what is no JSON */
function jsonOf({ typeUrl, value }: Any): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(value));
  } catch {
    throw new CtrError(`the runtime's features of type "${typeUrl}" are no JSON`);
  }
}
