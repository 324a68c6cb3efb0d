/** How a command ended, as clients read it from the error stream: Kubernetes' `meta/v1.Status` in JSON. */

import { toWireStatus } from "@hull/api/status";

/** What is left out is empty. The order is that of Kubernetes' own. */
export interface Status {
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes: readonly { readonly reason: string; readonly message: string }[] };
  readonly code?: number;
}

/** The end of a command that ran. */
export function exitStatus(command: readonly string[], code: number): Status {
  if (code === 0) return { status: "Success" };
  return {
    status: "Failure",
    message: `command terminated with non-zero exit code: error executing command [${command.join(" ")}], exit code ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] },
  };
}

/** `what` didn't come to be. */
export function failureStatus(what: string, thrown: unknown): Status {
  return {
    status: "Failure",
    message: `Internal error occurred: ${what}: ${toWireStatus(thrown).message}`,
    reason: "InternalError",
    code: 500,
  };
}
