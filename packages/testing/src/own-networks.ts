import { existsSync, readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { ownConfigurations } from "@hull/client/network/networks";
import { selfCommand } from "@hull/engine/self";
import { failedPrecondition } from "@hull/errors";
import { startProgram } from "@hull/sys/program";
import { sessionLabel } from "./clean-up.ts";

const suffix = ".conflist";

/** Begins the names of a session's networks. */
const prefixOf = (session: string): string => `testing-${session.slice(0, 8)}-`;

/**
 * Makes a network of the host's that the session's containers have for themselves. Gives its name.
 * @throws FailedPrecondition, with what the executable `hull` says; Unavailable if there is none
 */
export async function makeNetwork(session: string, number: number): Promise<string> {
  const name = `${prefixOf(session)}${number}`;
  await networkCommand("create", "--label", `${sessionLabel}=${session}`, name);
  return name;
}

/** Removes one, whose containers have gone. */
export const removeNetwork = (name: string): Promise<void> => networkCommand("rm", "--force", name);

/** Removes those of a session that are left. */
export async function removeNetworks(session: string): Promise<void> {
  const folder = ownConfigurations(process.env);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  for (const file of files)
    if (file.startsWith(prefixOf(session)) && file.endsWith(suffix)) await removeNetwork(file.slice(0, -suffix.length));
}

/** By the executable, which containers' networks take anyway: it makes the system calls that not every Node can. */
async function networkCommand(...args: string[]): Promise<void> {
  const child = startProgram([...selfCommand("network"), ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const [said, status] = await Promise.all([text(child.stderr), child.exited]);
  if (status !== 0) throw failedPrecondition(`"hull network ${args.join(" ")}" failed: ${said.trim()}`);
}
