/**
 * What a fresh Debian machine lacks, installed: the npm packages of the lock file, and Debian packages by name.
 * Plain Node 20, because it runs before anything is installed.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const project = dirname(dirname(fileURLToPath(import.meta.url)));

/** The Bun that the lock file pins. */
export const bun = join(project, "node_modules", ".bin", "bun");

/** Debian packages that running containers takes, and the file that tells that each is there. */
export const runtimePackages = {
  runc: "/usr/sbin/runc",
  crun: "/usr/bin/crun",
  "busybox-static": "/bin/busybox",
};

/** What the tests and the benchmark take beside: the real ones to compare with. */
export const peerPackages = {
  containerd: "/usr/bin/containerd",
  "docker-registry": "/usr/bin/docker-registry",
  skopeo: "/usr/bin/skopeo",
  openssl: "/usr/bin/openssl",
  "containernetworking-plugins": "/usr/lib/cni/bridge",
};

/** What single tests take: networks, snapshotters, shells, and programs that judge what hull writes. Where one is missing, they are skipped. */
export const testPackages = {
  iptables: "/usr/sbin/iptables",
  apparmor: "/usr/sbin/apparmor_parser",
  iproute2: "/usr/bin/ip",
  "erofs-utils": "/usr/bin/mkfs.erofs",
  "btrfs-progs": "/usr/sbin/mkfs.btrfs",
  e2fsprogs: "/usr/sbin/mkfs.ext4",
  "libarchive-tools": "/usr/bin/bsdtar",
  mandoc: "/usr/bin/mandoc",
  zsh: "/usr/bin/zsh",
  procps: "/usr/bin/ps",
  nftables: "/usr/sbin/nft",
  chromium: "/usr/bin/chromium",
};

/** Ends the program with a message that says what to do. */
export function fail(message) {
  process.stderr.write(`\nhull: ${message}\n`);
  process.exit(1);
}

/** Runs a program with its output shown; ends with its status if it fails. */
export function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { stdio: "inherit", cwd: project, ...options });
  if (error) fail(`"${command}" could not be run: ${error.message}`);
  if (status !== 0) fail(`"${command} ${args.join(" ")}" ended with ${signal ?? `status ${status}`}`);
}

/**
 * Installs what the lock file pins, unless it is there. Not `npm ci`: that insists on entries for every other platform's
 * binaries, which a registry mirror may not carry; `--no-save` leaves the lock file as it is.
 */
export function ensureNpmPackages() {
  const lock = join(project, "package-lock.json");
  const stamp = join(project, "node_modules", ".hull-lock");
  if (existsSync(stamp) && existsSync(bun) && readFileSync(stamp, "utf8") === readFileSync(lock, "utf8")) return;
  console.log("hull: installing npm packages");
  run("npm", ["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"]);
  // npm leaves Bun's own installer out where install scripts aren't allowed; it only puts the platform's binary in place.
  if (spawnSync(bun, ["--version"]).status !== 0) run("node", ["node_modules/bun/install.js"]);
  writeFileSync(stamp, readFileSync(lock));
}

/** Installs the Debian packages whose file is missing. Where that can't be: with `optional` says so and goes on, else ends the program. */
export function ensureDebianPackages(packages, { optional = false } = {}) {
  const missing = Object.entries(packages)
    .filter(([, file]) => !existsSync(file))
    .map(([name]) => name);
  if (missing.length === 0) return;
  const giveUp = optional ? (message) => console.log(`hull: ${message}`) : fail;
  if (!existsSync("/usr/bin/apt-get"))
    return giveUp(
      `these programs are missing: ${missing.join(", ")}. Install them with your system's package manager.`,
    );
  if (process.getuid() !== 0)
    return giveUp(
      `these Debian packages are missing: ${missing.join(", ")}. Run as root: apt-get install ${missing.join(" ")}`,
    );
  console.log(`hull: installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...missing];
  if (spawnSync("apt-get", install, { env, stdio: "ignore" }).status === 0) return;
  spawnSync("apt-get", ["update", "-qq"], { env, stdio: "inherit" });
  const { status } = spawnSync("apt-get", install, { env, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) giveUp(`"apt-get ${install.join(" ")}" ended with status ${status}`);
}

/**
 * The folder of Debian's Docker engine: the installed one's, or that of one unpacked below `.cache`. It isn't installed: that would start
 * it, and change this machine's network for good.
 */
export function ensureDockerUnpacked() {
  if (existsSync("/usr/sbin/dockerd")) return "";
  const folder = join(project, ".cache", "docker.io");
  if (existsSync(join(folder, "usr", "sbin", "dockerd"))) return folder;
  ensureDebianPackages({ "libdevmapper1.02.1": "/usr/share/doc/libdevmapper1.02.1" });
  console.log("hull: unpacking Debian's docker.io");
  mkdirSync(folder, { recursive: true });
  run("apt-get", ["download", "-qq", "docker.io"], { cwd: folder });
  run("sh", ["-c", "dpkg -x ./docker.io_*.deb . && rm ./docker.io_*.deb"], { cwd: folder });
  return folder;
}

/** Builds `dist/hull` if a source is newer than it. */
export function ensureBuilt() {
  const output = join(project, "dist", "hull");
  const sources = execFileSync(
    "find",
    [
      "packages",
      "scripts/build.mjs",
      "package-lock.json",
      "-name",
      "*.test.ts",
      "-prune",
      "-o",
      "-type",
      "f",
      "-print",
    ],
    { cwd: project, encoding: "utf8" },
  );
  const newest = Math.max(
    ...sources
      .trim()
      .split("\n")
      .map((file) => statSync(join(project, file)).mtimeMs),
  );
  if (existsSync(output) && statSync(output).mtimeMs > newest) return output;
  console.log("hull: building dist/hull");
  run("node", ["scripts/build.mjs"]);
  return output;
}

/** What the long programs (benchmark, soak, faults) take: all packages, and the executable, which they find in HULL_EXECUTABLE. */
export function prepareWithPeers() {
  ensureNpmPackages();
  ensureDebianPackages({ ...runtimePackages, ...peerPackages });
  process.env.HULL_EXECUTABLE = ensureBuilt();
}
