/** `npm run man`: writes the man pages to a folder, dist/man unless another is named. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { allPages } from "./all.ts";

const [, , folder = "dist/man"] = process.argv;
const pages = allPages();
for (const { name, text } of pages) {
  const directory = join(folder, `man${name.slice(-1)}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), text);
}
console.log(`${pages.length} pages in ${folder}; look at them with: man -M ${folder} hull`);
