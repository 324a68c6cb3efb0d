/**
 * The engine: everything that a container host keeps and does, without a wire in between. The daemon serves it; a program can embed it.
 */
export { type Context, contextFor } from "./context.ts";
export { Engine, type EngineOptions, openEngine } from "./engine.ts";
export { type Logger, type LogLevel, silent } from "./log.ts";
export { enginePlugins } from "./plugins.ts";
