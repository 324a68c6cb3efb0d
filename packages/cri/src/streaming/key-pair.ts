import { readFile } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { invalidArgument, unknown } from "@hull/errors";
import type { KeyPair } from "@hull/link";
import type { CriGrpcConfig } from "../config.ts";
import { selfSigned } from "./certificate.ts";

type StreamingConfig = Pick<CriGrpcConfig, "enable_tls_streaming" | "x509_key_pair_streaming">;

/**
 * What streams are encrypted with by the configuration: its files, or a certificate made up for this run; undefined if they aren't.
 *
 * @throws InvalidArgument for keys that contradict each other; Unknown if a file can't be read
 */
export async function keyPairOf(config: StreamingConfig): Promise<KeyPair | undefined> {
  const { enable_tls_streaming: enabled, x509_key_pair_streaming: files } = config;
  const { tls_cert_file: certFile, tls_key_file: keyFile } = files;
  const invalid = (text: string) => invalidArgument(`invalid stream server configuration: ${text}`);
  if (!enabled) {
    const set = certFile !== "" ? "TLSCertFile" : keyFile !== "" ? "TLSKeyFile" : undefined;
    if (set !== undefined) throw invalid(`X509KeyPairStreaming.${set} is set but EnableTLSStreaming is not set`);
    return undefined;
  }
  if (certFile === "" && keyFile === "") return selfSigned(hostname(), hostAddresses());
  if (keyFile === "") throw invalid("must set X509KeyPairStreaming.TLSKeyFile");
  if (certFile === "") throw invalid("must set X509KeyPairStreaming.TLSCertFile");
  try {
    const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
    return { cert, key };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unknown(`failed to load x509 key pair for stream server: ${reason}`, { cause });
  }
}

const hostAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));

/** The host's first address that others can reach, for a server that isn't told where to listen. @throws Unknown if there is none */
export function firstHostAddress(): string {
  const addresses = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  const { address } = addresses.find(({ family }) => family === "IPv4") ?? addresses[0] ?? {};
  if (address === undefined)
    throw unknown("failed to get stream server address: the host has no network interface; set stream_server_address");
  return address;
}
