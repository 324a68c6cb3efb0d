import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { runProgram, type Server, startServer } from "./process.ts";

/** Why there is no registry to pull from; undefined if there is. */
export const noRegistry = ["/usr/bin/docker-registry", "/usr/bin/skopeo", "/usr/bin/openssl"].every((path) =>
  existsSync(path),
)
  ? undefined
  : "needs Debian's docker-registry, skopeo and openssl packages";

export interface RegistrySettings {
  /** Files of a certificate and its key: the registry then speaks TLS. */
  tls?: { certificate: string; key: string };
  /** What stands below `auth:` in the registry's configuration. */
  auth?: string;
}

/** Debian's docker-registry on loopback, which can be killed and started again on the same port with what it has. */
export class LocalRegistry implements AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly #config: string;
  #server: Server | undefined;

  private constructor(host: string, config: string) {
    this.host = host;
    this.#config = config;
  }

  static async start(folder: string, { tls, auth }: RegistrySettings = {}): Promise<LocalRegistry> {
    mkdirSync(folder, { recursive: true });
    const host = `127.0.0.1:${await freePort()}`;
    const config = join(folder, "config.yml");
    const lines = [
      "version: 0.1",
      "log: {level: info, accesslog: {disabled: true}}",
      `storage: {filesystem: {rootdirectory: ${join(folder, "storage")}}, delete: {enabled: true}}`,
      "http:",
      `  addr: ${host}`,
      ...(tls === undefined ? [] : [`  tls: {certificate: ${tls.certificate}, key: ${tls.key}}`]),
      ...(auth === undefined ? [] : ["auth:", ...auth.split("\n").map((line) => `  ${line}`)]),
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    const registry = new LocalRegistry(host, config);
    await registry.start();
    return registry;
  }

  async start(): Promise<void> {
    this.#server = await startServer(["/usr/bin/docker-registry", "serve", this.#config], /listening on/);
  }

  /** As a crash would. */
  async kill(): Promise<void> {
    await this.#server?.stop("SIGKILL");
  }

  /** Pushes the first image of an OCI layout as `name:tag`. Gives its digest. @throws Error with what skopeo said */
  async push(layout: string, image: string, credentials?: string): Promise<string> {
    const digest = join(layout, "digest");
    const args = ["--dest-tls-verify=false", ...(credentials === undefined ? [] : ["--dest-creds", credentials])];
    const outcome = await runProgram([
      "skopeo",
      "copy",
      "--quiet",
      "--preserve-digests",
      "--digestfile",
      digest,
      ...args,
      `oci:${layout}`,
      `docker://${this.host}/${image}`,
    ]);
    if (outcome.status !== 0) throw new Error(`skopeo: ${outcome.stderr}`);
    return await Bun.file(digest).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
