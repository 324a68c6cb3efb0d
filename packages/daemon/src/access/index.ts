/**
 * Sockets that let through a part of the API: `[access.NAME]` tables of the configuration.
 *
 *   [access.NAME] ──► a socket of its own ──► each call: may it read or write, and in this namespace? ──► the same services
 *
 * `methods.ts` says of every method what it does; `limit.ts` holds calls against it; `config.ts` are the tables' keys. A limit keeps
 * apart clients that mean well: whoever may create containers in one namespace can reach the host, and with it all others.
 */
export interface AccessLimits {
  /** Refuse what changes anything. */
  readonly readOnly: boolean;
  /** The only namespaces that calls may be about; empty for all. */
  readonly namespaces: readonly string[];
}
