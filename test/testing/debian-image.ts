/** Images of programs as Debian packs them: the packages, with the libraries that they depend on, on a layer of busybox. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { busyboxLayer, packLayout, tarOfFolder, writeLayout } from "../../scripts/image.ts";

export interface DebianImage {
  /** Full reference. */
  readonly name: string;
  /** Debian's packages; libraries come with them. */
  readonly packages: readonly string[];
  /** Texts by path; those with "#!" can be run. */
  readonly files: Readonly<Record<string, string>>;
  /** Folders that everybody may write to. */
  readonly folders: readonly string[];
  /** Of the OCI image config. */
  readonly config: Readonly<Record<string, unknown>>;
}

const cache = join(import.meta.dir, "../../.cache/debian-images");

/** Libraries that programs do without until they are asked for what needs them. */
const unneeded = /^lib(llvm|perl|z3)|-perl$/;

/** The archive of an image, made if it isn't kept from an earlier time. @returns why it can't be had, in place of that, where it can't */
export function debianImage(image: DebianImage): { archive: string } | { lacking: string } {
  const key = createHash("sha256").update(JSON.stringify(image)).digest("hex").slice(0, 16);
  const archive = join(cache, `${key}.tar`);
  if (existsSync(archive)) return { archive };
  if (!existsSync("/usr/bin/apt-get")) return { lacking: "needs Debian's apt-get" };
  const folder = mkdtempSync(join(tmpdir(), "hull-debian-"));
  try {
    const packages = withLibraries(image.packages);
    if (packages.length === 0) return { lacking: `apt doesn't know ${image.packages.join(", ")}: apt-get update` };
    const debs = join(folder, "debs");
    const root = join(folder, "root");
    mkdirSync(debs);
    mkdirSync(root);
    const { status, stderr } = spawnSync("apt-get", ["download", "-qq", ...packages], { cwd: debs, encoding: "utf8" });
    if (status !== 0) return { lacking: `apt-get download failed: ${stderr.trim()}` };
    for (const deb of readdirSync(debs)) run("dpkg-deb", ["-x", join(debs, deb), root]);
    for (const unwanted of ["usr/share/doc", "usr/share/man", "usr/share/locale"])
      rmSync(join(root, unwanted), { recursive: true, force: true });
    for (const [path, text] of Object.entries(image.files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
      chmodSync(join(root, path), text.startsWith("#!") ? 0o755 : 0o644);
    }
    for (const path of image.folders) {
      mkdirSync(join(root, path), { recursive: true });
      chmodSync(join(root, path), 0o1777);
    }
    const layers = [busyboxLayer(), tarOfFolder(root)].map((tar) => ({ tar, compression: "zstd" as const }));
    writeLayout(join(folder, "layout"), [{ name: image.name, layers, config: image.config }]);
    packLayout(join(folder, "layout"), join(folder, "image.tar"));
    mkdirSync(cache, { recursive: true });
    run("cp", [join(folder, "image.tar"), `${archive}.${process.pid}`]);
    renameSync(`${archive}.${process.pid}`, archive);
    return { archive };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Packages, and the libraries below them; none if apt knows nothing of them. */
function withLibraries(packages: readonly string[]): string[] {
  const known = new Set(packages);
  for (let wave = [...packages]; wave.length > 0; ) {
    const { status, stdout } = spawnSync("apt-cache", ["depends", ...wave], { encoding: "utf8" });
    if (status !== 0) return [];
    const found = [...stdout.matchAll(/^ {2}(?:Pre)?Depends: ((?:lib|zlib)[^\s<>:]+)$/gm)].map(([, name = ""]) => name);
    wave = [...new Set(found)].filter((name) => !known.has(name) && !unneeded.test(name));
    for (const name of wave) known.add(name);
  }
  return [...known];
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}

const users = (name: string): Record<string, string> => ({
  "etc/passwd": `root:x:0:0:root:/root:/bin/sh\n${name}:x:999:999::/var/lib/${name}:/bin/sh\n`,
  "etc/group": `root:x:0:\n${name}:x:999:\n`,
});

const path = "PATH=/usr/local/bin:/usr/bin:/bin";

export const redis: DebianImage = {
  name: "docker.io/library/redis:7",
  packages: ["redis-server", "redis-tools"],
  files: users("redis"),
  folders: ["data"],
  config: {
    Env: [path],
    User: "999:999",
    WorkingDir: "/data",
    Entrypoint: ["redis-server", "--bind", "*", "--protected-mode", "no"],
    ExposedPorts: { "6379/tcp": {} },
  },
};

export const postgres: DebianImage = {
  name: "docker.io/library/postgres:15",
  packages: ["postgresql-15", "postgresql-client-15", "tzdata"],
  files: {
    ...users("postgres"),
    "usr/local/bin/start-postgres": `#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" > /tmp/password
  initdb --no-sync --username=postgres --pwfile=/tmp/password --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
fi
exec postgres -c "listen_addresses=*" -c unix_socket_directories=/tmp "$@"
`,
  },
  folders: ["var/lib/postgresql", "tmp"],
  config: {
    Env: [`${path}:/usr/lib/postgresql/15/bin`, "PGDATA=/var/lib/postgresql/data", "PGHOST=/tmp"],
    User: "999:999",
    Entrypoint: ["start-postgres"],
    ExposedPorts: { "5432/tcp": {} },
  },
};

if (import.meta.main) for (const image of [redis, postgres]) console.log(image.name, debianImage(image));
