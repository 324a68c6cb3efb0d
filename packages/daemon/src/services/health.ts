import { HealthDefinition, HealthCheckResponse_ServingStatus as Status } from "@hull/api/gen/grpc/health/v1/health";
import { notFound } from "@hull/errors";
import { type Service, service } from "../server/service.ts";

/** gRPC's health protocol (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): the daemon as a whole, named "", serves. */
export const healthService = (): Service =>
  service(HealthDefinition, {
    async check({ service: name }) {
      if (name !== "") throw notFound("unknown service");
      return { status: Status.SERVING };
    },
    async list() {
      return { statuses: { "": { status: Status.SERVING } } };
    },
    async *watch({ service: name }, call) {
      yield { status: name === "" ? Status.SERVING : Status.SERVICE_UNKNOWN };
      // It serves until it is gone, so there is nothing more to tell.
      await aborted(call.signal);
    },
  });

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
