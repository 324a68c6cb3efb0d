/** The programs in guides: blocks marked `ts`, each with what it prints in a block marked `text` behind it. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { project } from "./user-project.ts";

export interface Snippet {
  /** `sdk-3.ts`: the guide, and its place in there. */
  readonly file: string;
  readonly line: number;
  readonly code: string;
  readonly output: string;
  /** Whether it opens an engine, rather than to connect to a daemon. */
  readonly engine: boolean;
}

/** What the guides say once: "`hull` is what `connect()` gave". */
const prelude = `import { connect } from "@hull/client";\nawait using hull = await connect();\n`;

/** All programs of a guide, whole. */
export function snippetsOf(guide: string): Snippet[] {
  const text = readFileSync(join(project, guide), "utf8");
  const blocks = text.matchAll(/^```ts\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/gms);
  return [...blocks].map(({ 1: body = "", 2: output = "", index }, at) => ({
    file: `${basename(guide, ".md").toLowerCase()}-${at + 1}.ts`,
    line: text.slice(0, index).split("\n").length,
    code: `${/\b(connect|Engine\.open|startContainer|openSession)\(/.test(body) ? "" : prelude}${body}export {};\n`,
    output,
    engine: body.includes("Engine.open("),
  }));
}

/** Stands before what the runner says itself. */
const mark = "== ended ";

/** Runs programs one after the other, in one process: their paths are its arguments. Behind each a line of JSON says how it ended. */
export const runner = `
for (const path of process.argv.slice(2)) {
  let failure;
  try {
    await import(path);
  } catch (error) {
    failure = error instanceof Error ? error.stack : String(error);
  }
  console.log(${JSON.stringify(mark)} + JSON.stringify({ failure }));
}
`;

/** What each program printed, and why it failed, of the runner's output. */
export function resultsOf(printed: string): { output: string; failure?: string }[] {
  const results: { output: string; failure?: string }[] = [];
  let output = "";
  for (const line of printed.split("\n")) {
    if (line.startsWith(mark)) {
      results.push({ output, ...(JSON.parse(line.slice(mark.length)) as { failure?: string }) });
      output = "";
    } else output += `${line}\n`;
  }
  return results;
}
