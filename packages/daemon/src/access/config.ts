import { configTable, flag, integer, text, texts } from "@hull/engine/plugin/config";
import { HullError, invalidArgument } from "@hull/errors";
import type { SocketOwner } from "../server/unix-socket.ts";
import type { AccessLimits } from "./index.ts";

/** Ids of users and groups: 2^32 - 1 means "unchanged" to chown(2). */
const id = { min: 0, max: 2 ** 32 - 2 };

/** The keys of an `[access.NAME]` table. */
export const accessTable = configTable({
  address: text("", "Unix socket of this access"),
  uid: integer(0, "Owner of the socket", id),
  gid: integer(0, "Group of the socket", id),
  read_only: flag(false, "Refuse every call that changes something"),
  namespaces: texts([], "The only namespaces that can be reached; empty: all"),
});

/** A socket that the configuration asks for. */
export interface Access extends AccessLimits {
  readonly name: string;
  readonly address: string;
  readonly owner: SocketOwner;
}

/** Reads the `access` table of a configuration. @throws InvalidArgument, naming the table */
export function parseAccess(tables: Readonly<Record<string, unknown>>): Access[] {
  return Object.entries(tables).map(([name, value]) => {
    try {
      const { address, uid, gid, read_only, namespaces } = accessTable.parse(value);
      if (address === "") throw invalidArgument('key "address" is missing: the path of a unix socket');
      // It would be a second full socket, which is not what somebody writes such a table for.
      if (!read_only && namespaces.length === 0)
        throw invalidArgument('set "read_only" or "namespaces": without either the socket has no limit');
      return { name, address, owner: { uid, gid }, readOnly: read_only, namespaces };
    } catch (error) {
      throw invalidArgument(`table [access.${name}]: ${HullError.from(error).message}`, { cause: error });
    }
  });
}
