import { readFile } from "node:fs/promises";
import { invalidArgument } from "@hull/errors";
import type { KeyPair } from "@hull/link";
import type { CriGrpcConfig } from "./config.ts";
import { withinLater } from "./wrap.ts";

/** The certificate of the streaming server, if it is to have one. @throws InvalidArgument where its files aren't named or can't be read */
export async function streamKeys(config: CriGrpcConfig): Promise<KeyPair | undefined> {
  const { tls_cert_file: certFile, tls_key_file: keyFile } = config.x509_key_pair_streaming;
  if (!config.enable_tls_streaming) {
    if (certFile === "" && keyFile === "") return undefined;
    throw invalidArgument(
      "X509KeyPairStreaming.TLSCertFile and/or X509KeyPairStreaming.TLSKeyFile are set but EnableTLSStreaming is not set",
    );
  }
  if (certFile === "" || keyFile === "")
    throw invalidArgument(
      "enable_tls_streaming needs a certificate: name tls_cert_file and tls_key_file in x509_key_pair_streaming",
    );
  const [cert, key] = await withinLater(
    "failed to load the key pair of x509_key_pair_streaming",
    Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]),
  );
  return { cert, key };
}
