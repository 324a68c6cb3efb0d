/** The shim as a program of its own: `bun entry.ts …`. Inside the one executable, `shimMain` is called from there. */

import { shimMain } from "./main.ts";

const [runtime = process.execPath, script = ""] = process.argv;
const code = await shimMain(process.argv.slice(2), script === "" ? [runtime] : [process.execPath, script]);
if (code !== undefined) process.exit(code);
