/**
 * What a container is attached to in its present life: it may be more than its runtime's hooks know of, if it was connected while it ran.
 * So the hooks of its end take away all of this. The files go with the machine, as the containers do.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@hull/sys/errno";
import type { HookRequest } from "./hook.ts";

const fileOf = (directory: string, key: string): string => join(directory, `${key}.attached.json`);

/** Undefined for a container that no hook will see the end of. */
export function attachedNow(directory: string, key: string): readonly HookRequest[] | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(directory, key), "utf8")) as HookRequest[];
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** The container is on one more network. */
export function noteAttached(directory: string, key: string, request: HookRequest): void {
  write(directory, key, [...others(directory, key, request.network), request]);
}

/** It is no longer on a network. */
export function noteDetached(directory: string, key: string, network: string): void {
  if (attachedNow(directory, key) !== undefined) write(directory, key, others(directory, key, network));
}

/** Its life has ended. */
export const forgetAttached = (directory: string, key: string): void => rmSync(fileOf(directory, key), { force: true });

const others = (directory: string, key: string, network: string): HookRequest[] =>
  (attachedNow(directory, key) ?? []).filter((request) => request.network !== network);

function write(directory: string, key: string, requests: readonly HookRequest[]): void {
  const file = fileOf(directory, key);
  writeFileSync(`${file}.new`, JSON.stringify(requests), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
