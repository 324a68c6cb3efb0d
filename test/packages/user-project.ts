/** An empty project of a user's, in which the packages are installed as they would be from a registry. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hullCommand } from "../support/hull.ts";
import { type Outcome, runProgram } from "../support/process.ts";

export const project = join(import.meta.dir, "../..");

/** hull's executable: the one that is tested, or what `npm run build` made. */
export const executable = hullCommand.length === 1 ? (hullCommand[0] ?? "") : join(project, "dist/hull");

export interface UserProject {
  readonly folder: string;
  /** The tarballs, by package. */
  readonly tarballs: ReadonlyMap<string, string>;
  /** The folders that were packed. */
  readonly packed: string;
  /** Writes a file of the project's. @returns its path */
  write(name: string, text: string): string;
}

/** Packs the packages and installs them below `folder`. Installing runs no scripts, since users may forbid them. */
export async function makeUserProject(folder: string): Promise<UserProject> {
  const packed = join(folder, "packed");
  const home = join(folder, "project");
  mkdirSync(home);
  await succeed(["node", join(project, "scripts/pack.mjs"), packed], { env: { HULL_EXECUTABLE: executable } });
  const platform = `@hull/linux-${process.arch}`;
  const folders = readdirSync(packed).filter((name) => `@hull/${name}` !== platform);
  const printed = await succeed(["npm", "pack", "--json", "--loglevel=error", ...folders.map((name) => `./${name}`)], {
    cwd: packed,
  });
  const tarballs = new Map(
    (JSON.parse(printed.stdout) as { name: string; filename: string }[]).map(({ name, filename }) => [
      name,
      join(packed, filename),
    ]),
  );
  const manifest = {
    private: true,
    type: "module",
    dependencies: {
      ...Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`])),
      // By its folder: packing 120 MB takes longer than all else here.
      [platform]: `file:${join(packed, platform.replace("@hull/", ""))}`,
      "@types/node": versionOf("@types/node"),
      // What a guide has a database for.
      "@types/pg": versionOf("@types/pg"),
    },
  };
  const write = (name: string, text: string): string => {
    const path = join(home, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };
  write("package.json", JSON.stringify(manifest));
  await succeed(
    ["npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"],
    { cwd: home },
  );
  return { folder: home, tarballs, packed, write };
}

/** Runs a program. @throws Error with what it printed, if it fails */
export async function succeed(
  command: readonly string[],
  options: Parameters<typeof runProgram>[1] = {},
): Promise<Outcome> {
  const outcome = await runProgram(command, options);
  if (outcome.status === 0) return outcome;
  throw new Error(`"${command.join(" ")}" ended with ${outcome.status}:\n${outcome.stdout}${outcome.stderr}`);
}

/** The version that the workspace pins. */
function versionOf(name: string): string {
  const { devDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  return devDependencies[name] ?? "*";
}
