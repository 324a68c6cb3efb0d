import { homedir } from "node:os";
import { join } from "node:path";
import type { TransferCredentials } from "@hull/client/transfer";
import { dockerCredentials } from "@hull/engine/registry/docker-config";

/** Docker's file of credentials: `config.json` in $DOCKER_CONFIG or in ~/.docker. */
export function dockerConfigFile(): string {
  return join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "config.json");
}

/** The user's credentials for registries, as the daemon asks for them. */
export function registryCredentials(): (host: string) => Promise<TransferCredentials | undefined> {
  const find = dockerCredentials(dockerConfigFile());
  return async (host) => {
    const found = await find(host);
    if (found === undefined) return undefined;
    if ("identityToken" in found) return { refreshToken: found.identityToken };
    return "registryToken" in found ? { header: `Bearer ${found.registryToken}` } : found;
  };
}
