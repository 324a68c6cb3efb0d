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

/** Several services of one plugin, which are served before all of what they need is there. */
export interface ServiceGroup {
  readonly services: readonly Service[];
  /** Called once, when they are served and tasks of an earlier run are known again. */
  begin(): Promise<void>;
}

export const servicesOf = (instances: readonly (Service | ServiceGroup)[]): Service[] =>
  instances.flatMap((instance) => ("services" in instance ? instance.services : [instance]));
