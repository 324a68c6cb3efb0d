import {
  AuthRequest,
  AuthResponse,
  AuthType,
  HTTPDebug,
  type RegistryResolver,
} from "@hull/api/gen/containerd/types/transfer/registry";
import { decodeAny, encodeAny } from "@hull/api/typeurl";
import type { CredentialsProvider, Registry } from "@hull/engine/registry/index";
import type { Transfer } from "@hull/engine/transfer/index";
import { unimplemented } from "@hull/errors";
import type { ServerStream } from "./streaming.ts";

const types = {
  authRequest: "containerd.types.transfer.AuthRequest",
  authResponse: "containerd.types.transfer.AuthResponse",
} as const;

/** A registry as the client wishes it; what it doesn't say, the configuration does. */
export function registryOf(
  transfer: Transfer,
  resolver: RegistryResolver | undefined,
  claim: (stream: string) => ServerStream,
  reference: string,
): Registry {
  const {
    hostDir = "",
    defaultScheme = "",
    authStream = "",
    headers = {},
    httpDebug = 0,
    logsStream = "",
  } = resolver ?? {};
  if (httpDebug !== HTTPDebug.DISABLED || logsStream !== "")
    throw unimplemented("a log of what goes to and from a registry (http_debug) is not supported");
  return transfer.registry({
    ...(hostDir === "" ? {} : { hostDirectory: hostDir }),
    plainHttp: defaultScheme === "http",
    headers,
    ...(authStream === "" ? {} : { credentials: askOver(claim(authStream), reference) }),
  });
}

/** Asks the client for credentials, one question at a time. */
function askOver(stream: ServerStream, reference: string): CredentialsProvider {
  let last: Promise<unknown> = Promise.resolve();
  return (host) => {
    const answer = last.then(async () => {
      await stream.send(encodeAny(types.authRequest, AuthRequest, { host, reference, wwwauthenticate: [] }));
      const message = await stream.receive();
      if (message === undefined) return undefined;
      const { authType, username, secret } = decodeAny(message, types.authResponse, AuthResponse);
      // What containerd's ctr answers, by one type or another, when it was told nothing: the configuration may know more.
      if (username === "" && secret === "") return undefined;
      switch (authType) {
        case AuthType.CREDENTIALS:
          return { username, secret };
        case AuthType.REFRESH:
          return { identityToken: secret };
        case AuthType.HEADER:
          return { header: secret };
        default:
          return undefined;
      }
    });
    last = answer.catch(() => {});
    return answer;
  };
}
