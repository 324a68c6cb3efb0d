/** Platforms: their spellings, and which of an index's manifests suits a host best (containerd's `platforms` rules). */

import { invalidArgument } from "@hull/errors";
import type { Platform } from "./descriptor.ts";

const architectures: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  i386: { architecture: "386" },
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
};

const knownSystems: ReadonlySet<string> = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const knownArchitectures: ReadonlySet<string> = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le " +
    "ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);

/** Brings the names to Go's, and a variant that is the default to none: `x86_64` → `amd64`, `arm64/v8` → `arm64`, `arm` → `arm/v7`. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === "macos" ? "darwin" : platform.os.toLowerCase();
  const named = platform.architecture.toLowerCase();
  const alias = architectures[named];
  const architecture = alias?.architecture ?? named;
  const variant = defaultVariant(architecture, (alias?.variant ?? platform.variant ?? "").toLowerCase());
  const { variant: _dropped, ...rest } = platform;
  return variant === "" ? { ...rest, os, architecture } : { ...rest, os, architecture, variant };
}

function defaultVariant(architecture: string, variant: string): string {
  switch (architecture) {
    case "amd64":
      return variant === "v1" ? "" : variant;
    case "arm64":
      if (variant === "8" || variant === "v8" || variant === "v8.0") return "";
      if (variant === "9" || variant === "9.0" || variant === "v9.0") return "v9";
      return variant;
    case "arm":
      if (variant === "") return "v7";
      return /^[5-8]$/.test(variant) ? `v${variant}` : variant;
    default:
      return variant;
  }
}

/** The platform that this process runs on. Windows versions aren't known here. */
export function hostPlatform(): Platform {
  const names: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", mipsel: "mipsle" };
  const armVersion: unknown = (process.config.variables as Readonly<Record<string, unknown>>).arm_version;
  return normalizePlatform({
    os: process.platform === "win32" ? "windows" : process.platform,
    architecture: names[process.arch] ?? process.arch,
    ...(process.arch === "arm" && armVersion !== undefined ? { variant: `v${String(armVersion)}` } : {}),
  });
}

const component = /^[A-Za-z0-9_.-]+$/;

/**
 * Reads `os`, `architecture`, `os/architecture` or `os/architecture/variant`; `os(version)` gives the version. What is left out is
 * the host's.
 * @throws InvalidArgument
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const [first = "", ...others] = text.split("/");
  const [, os = "", , version = ""] = /^([^()]*)(\(([^()]*)\))?$/.exec(first) ?? [];
  for (const part of [os, ...others])
    if (!component.test(part))
      throw invalidArgument(`platform "${text}" is not of the form "os/architecture/variant", as in "linux/arm64"`);
  const [architecture, variant, ...rest] = others;
  if (rest.length > 0) throw invalidArgument(`platform "${text}" has more than three parts`);
  const withVersion = version === "" ? {} : { "os.version": version };
  if (architecture === undefined) {
    const alone = normalizePlatform({ os, architecture: os });
    if (knownSystems.has(alone.os)) return normalizePlatform({ ...host, os: alone.os, ...withVersion });
    if (knownArchitectures.has(alone.architecture)) return { ...alone, os: host.os };
    throw invalidArgument(`platform "${text}" names no operating system or architecture that is known`);
  }
  return normalizePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }), ...withVersion });
}

/** `os[(version)]/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const version = platform["os.version"] === undefined ? "" : `(${platform["os.version"]})`;
  const variant = platform.variant === undefined || platform.variant === "" ? "" : `/${platform.variant}`;
  return `${platform.os}${version}/${platform.architecture}${variant}`;
}

/** What runs on `platform`, best first: `amd64/v3` → itself, `v2`, `amd64`, `386`. */
export function platformVector(platform: Platform): Platform[] {
  const own = normalizePlatform(platform);
  const others = lesser(own).map(([architecture, variant]) =>
    normalizePlatform({ os: own.os, architecture, ...(variant === "" ? {} : { variant }) }),
  );
  return [own, ...others];
}

function lesser({ architecture, variant = "" }: Platform): [string, string][] {
  const down = (from: number, to: number) => Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i);
  const [, major = "", , minor = "0"] = /^v(\d+)(\.(\d+))?$/.exec(variant) ?? [];
  switch (architecture) {
    case "amd64":
      return [...down(Number(major) - 1, 1).map((v): [string, string] => ["amd64", `v${v}`]), ["386", ""]];
    case "arm":
      return down(Number(major) - 1, 5).map((v): [string, string] => ["arm", `v${v}`]);
    case "arm64": {
      const list: [string, string][] = [];
      const minors = (of: number, from: number) => {
        for (const v of down(from, 0)) list.push(["arm64", v === 0 ? `v${of}` : `v${of}.${v}`]);
      };
      if (major === "9") {
        minors(9, Number(minor) - 1);
        // Armv9.0 has all of Armv8.5, 9.1 all of 8.6, and so on.
        minors(8, Number(minor) + 5);
      } else if (major === "8") minors(8, Number(minor) - 1);
      return [...list, ...down(8, 5).map((v): [string, string] => ["arm", `v${v}`])];
    }
    default:
      return [];
  }
}

function sameMachine(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture && (a.variant ?? "") === (b.variant ?? "");
}

/**
 * How well `candidate` runs on `platform`: 0 is best, undefined not at all. A Windows version must agree up to the build, if both
 * have one; needed features must be there.
 */
export function platformRank(platform: Platform, candidate: Platform): number | undefined {
  const offered = normalizePlatform(candidate);
  const rank = platformVector(platform).findIndex((accepted) => sameMachine(accepted, offered));
  if (rank < 0) return undefined;
  const build = (version: string | undefined) => version?.split(".").slice(0, 3).join(".");
  const [wanted, has] = [build(platform["os.version"]), build(offered["os.version"])];
  if (offered.os === "windows" && wanted !== undefined && has !== undefined && wanted !== has) return undefined;
  const features = platform["os.features"];
  if (features !== undefined && offered["os.features"]?.some((feature) => !features.includes(feature)))
    return undefined;
  return rank;
}

/** The best of `items` for `platform`; the first of equals. Windows: of equals the highest revision. */
export function bestForPlatform<T extends { platform?: Platform }>(
  items: readonly T[],
  platform: Platform,
): T | undefined {
  let best: { item: T; rank: number; revision: number } | undefined;
  for (const item of items) {
    if (item.platform === undefined) continue;
    const rank = platformRank(platform, item.platform);
    if (rank === undefined) continue;
    const revision = Number(item.platform["os.version"]?.split(".")[3] ?? 0);
    if (best === undefined || rank < best.rank || (rank === best.rank && revision > best.revision))
      best = { item, rank, revision };
  }
  return best?.item;
}
