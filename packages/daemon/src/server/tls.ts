import { readFileSync } from "node:fs";
import { HullError, invalidArgument, unavailable } from "@hull/errors";
import type { ByteLink } from "@hull/link";
import { parseTcpAddress } from "./tcp-address.ts";

/** Files in PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Who signs the certificates of clients. */
  readonly ca: string;
}

/**
 * Accepts connections over TCP from clients whose certificate the authority has signed, until disposed of; connections stay.
 * @throws InvalidArgument unless all files are named and readable: whoever calls the API is root on the host, so that nobody may unknown
 */
export async function acceptTls(
  address: string,
  files: TlsFiles,
  onLink: (link: ByteLink) => void,
): Promise<{ port: number } & Disposable> {
  const where = parseTcpAddress(address, "grpc.tcp_address");
  const options = {
    cert: readPem("cert", files.cert),
    key: readPem("key", files.key),
    ca: readPem("ca", files.ca),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ["h2"],
  };
  const [{ createServer }, { overDuplex }] = await Promise.all([import("node:tls"), import("@hull/link/node")]);
  const server = createServer(options, (socket) => onLink(overDuplex(socket)));
  // A peer that speaks no TLS, or has no certificate, is gone by then.
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(unavailable(`gRPC can't be served on "${address}": ${HullError.from(cause).message}`, { cause })),
    );
    server.listen({ host: where.hostname, port: where.port }, resolve);
  });
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : where.port;
  return { port, [Symbol.dispose]: () => void server.close() };
}

function readPem(key: keyof TlsFiles, file: string): string {
  const name = `grpc.tcp_tls_${key}`;
  if (file === "")
    throw invalidArgument(
      `"grpc.tcp_address" needs "${name}": over TCP only clients with a certificate of "grpc.tcp_tls_ca" are served`,
    );
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw invalidArgument(`"${name}": ${HullError.from(error).message}`, { cause: error });
  }
}
