/**
 * Commands as tables: what a command is called, takes and does, from which parsing, help and suggestions are made.
 *
 *   Program (name, dialect, global flags, tree of commands) ──runCommand(args)──► parse ──► load the action ──► run ──► exit status
 *
 * A table holds no code: `load` imports the action only when it is the one that was asked for, so that a command costs its own
 * modules at the start and no others.
 */
export * from "./flags.ts";
export * from "./format.ts";
export * from "./help.ts";
export * from "./host.ts";
export * from "./parse.ts";
export * from "./run.ts";
export * from "./table-writer.ts";
export * from "./tree.ts";
