import {
  AuthRequest,
  AuthResponse,
  AuthType,
  HTTPDebug,
  type RegistryResolver,
} from "@hull/api/gen/containerd/types/transfer/registry";
import { decodeAny, encodeAny } from "@hull/api/typeurl";
import type { Logger } from "@hull/engine/log";
import type { CredentialsProvider, DumpWriter, Registry } from "@hull/engine/registry/index";
import type { Transfer } from "@hull/engine/transfer/index";
import { TextSender } from "./byte-stream.ts";
import type { ServerStream } from "./streaming.ts";

const types = {
  authRequest: "containerd.types.transfer.AuthRequest",
  authResponse: "containerd.types.transfer.AuthResponse",
} as const;

/** What a registry is made of for one call. */
export interface RegistryCall {
  readonly transfer: Transfer;
  readonly claim: (stream: string) => ServerStream;
  /** Takes what is to be seen of the requests, where the client has no stream for that. */
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Runs when the call ends. */
  readonly defer: (end: () => Promise<void>) => void;
}

/** A registry as the client wishes it; what it doesn't say, the configuration does. */
export function registryOf(
  { transfer, claim, log, signal, defer }: RegistryCall,
  resolver: RegistryResolver | undefined,
  reference: string,
): Registry {
  const {
    hostDir = "",
    defaultScheme = "",
    authStream = "",
    headers = {},
    httpDebug = HTTPDebug.DISABLED,
    logsStream = "",
  } = resolver ?? {};
  const dumps = httpDebug === HTTPDebug.DEBUG || httpDebug === HTTPDebug.BOTH;
  const traces = httpDebug === HTTPDebug.TRACE || httpDebug === HTTPDebug.BOTH;
  let show: DumpWriter = (text) => log.log("info", text);
  if (httpDebug !== HTTPDebug.DISABLED && logsStream !== "") {
    const sender = new TextSender(claim(logsStream), signal);
    defer(() => sender.finish());
    show = (text) => sender.push(text);
  }
  return transfer.registry({
    ...(hostDir === "" ? {} : { hostDirectory: hostDir }),
    plainHttp: defaultScheme === "http",
    headers,
    ...(authStream === "" ? {} : { credentials: askOver(claim(authStream), reference) }),
    ...(dumps ? { dump: show } : {}),
    // As with containerd, these lines are the daemon's, wherever the rest goes.
    ...(traces ? { trace: (line: string) => log.log("debug", line) } : {}),
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
