import type { ServiceDefinition, ServiceImplementation } from "@hull/api/rpc";

/** A service as the daemon serves it, whatever carries it. */
export interface Service {
  readonly definition: ServiceDefinition;
  readonly implementation: ServiceImplementation<ServiceDefinition>;
}

/** Pairs a definition with what implements it, the two checked against each other. */
export function service<D extends ServiceDefinition>(definition: D, implementation: ServiceImplementation<D>): Service {
  return { definition, implementation: implementation as ServiceImplementation<ServiceDefinition> };
}
