/**
 * Throw-away containers for test suites.
 *
 *     import { forPort, startContainer } from "@hull/testing";
 *
 *     await using redis = await startContainer("redis", { ports: [6379], wait: [forPort(6379)] });
 *     const url = `redis://127.0.0.1:${redis.port(6379)}`;
 *
 *   startContainer ──► it is made and started ──► all that `wait` names has come about ──► … ──► disposed of: gone, files and all
 *
 * They are run by the daemon that is there, else by an engine in this process: see `SessionOptions`. What isn't disposed of goes when this
 * process ends, however it ends.
 */
export type { RunningContainer } from "@hull/client";
export { type StartOptions, TestContainer } from "./container.ts";
export { TestNetwork } from "./network.ts";
export { createNetwork, openSession, Session, type SessionOptions, startContainer, withHull } from "./session.ts";
export { forExit, forHealth, forLog, forPort, type WaitStrategy } from "./wait.ts";
