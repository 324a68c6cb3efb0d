/**
 * Health checks: a command that is run in a container now and then, as labels of its record say (`healthLabels`), which hull's `run` sets
 * from its flags and the image's HEALTHCHECK.
 *
 *   task started ──► starting ──a check succeeds──► healthy ◄──────────────┐
 *                       │                              │ `Retries` fail     │ one succeeds
 *                       └──── `Retries` fail ──────────┴──► unhealthy ──────┘
 *
 * The status is a label, which changes with it alone, so that every client sees it in lists and by events; the last checks are in a file
 * (`HealthRecord`). Nothing is done to a container that is unhealthy. Checks end with the task and begin anew with the next; those of a
 * paused one wait. They are the daemon's: where it stopped, the next one goes on.
 */
export { type HealthStatus, healthLabels, probeOf } from "./config.ts";
export { ContainerHealth, type HealthOptions } from "./monitor.ts";
export { type HealthRecord, type HealthResult, healthFile, readHealth } from "./record.ts";
