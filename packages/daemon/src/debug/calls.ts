import { namespaceHeader } from "@hull/api/metadata";
import { type Interceptor, watchOutcome } from "../server/intercept.ts";

export interface RunningCall {
  /** `containerd.services.tasks.v1.Tasks/Wait` */
  readonly method: string;
  readonly namespace: string;
  /** As of `performance.now()`. */
  readonly since: number;
}

/** The calls that have begun and not ended. */
export class RunningCalls {
  readonly #calls = new Set<RunningCall>();

  readonly interceptor: Interceptor = (ref, next) => {
    const method = `${ref.service}/${ref.method.name}`;
    return (request, call) => {
      const running = { method, namespace: call.metadata(namespaceHeader) ?? "", since: performance.now() };
      this.#calls.add(running);
      return watchOutcome(
        ref,
        () => next(request, call),
        () => this.#calls.delete(running),
      );
    };
  };

  /** The oldest first. */
  get all(): readonly RunningCall[] {
    return [...this.#calls];
  }
}
