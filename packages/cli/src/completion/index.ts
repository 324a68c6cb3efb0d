/**
 * Completion for shells, from the same tree of commands that is run and shown by --help.
 *
 *   hull completion bash|zsh|fish ──► a script for the shell, which at every TAB asks
 *   hull __complete … ──► complete(program, words) ──► candidates ──► the shell
 *
 * The scripts know nothing of hull's commands, so they don't age. Names of containers, images and the like are asked of a daemon that
 * answers at once, or left out: completing starts nothing and fails silently.
 */
export { type Candidate, type Completion, complete, type NameKind, type NameSource } from "./complete.ts";
export { splitLine, trimBreaks } from "./line.ts";
export { completionScript, type Shell, shells } from "./scripts.ts";
