import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * The authorities that this machine trusts, as Go programs find them: the runtime has a list of its own instead, which knows nothing of what
 * an administrator added. `SSL_CERT_FILE` and `SSL_CERT_DIR` (directories separated by colons) take the place of the system's.
 */

/** Where distributions keep their bundle: Debian; Fedora; openSUSE; RHEL; Alpine. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

interface Kept {
  /** Paths with size and time of change: a bundle that is made anew is read again. */
  state: string;
  pem: readonly string[];
}

let kept: Kept | undefined;

/** PEM texts of the trusted authorities, read again when they change; undefined if there are none, where the runtime's own list has to do. */
export function systemAuthorities(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] | undefined {
  const files = authorityFiles(environment);
  const state = files.map(({ path, size, mtimeMs }) => `${path} ${size} ${mtimeMs}`).join("\n");
  if (kept?.state !== state) kept = { state, pem: files.map(({ path }) => readFileSync(path, "utf8")) };
  return kept.pem.length === 0 ? undefined : kept.pem;
}

interface AuthorityFile {
  path: string;
  size: number;
  mtimeMs: number;
}

function authorityFiles({ SSL_CERT_FILE = "", SSL_CERT_DIR = "" }: Readonly<Record<string, string | undefined>>) {
  const found: AuthorityFile[] = [];
  const add = (path: string): boolean => {
    const info = statSync(path, { throwIfNoEntry: false });
    if (info === undefined || !info.isFile()) return false;
    found.push({ path, size: info.size, mtimeMs: info.mtimeMs });
    return true;
  };
  (SSL_CERT_FILE === "" ? bundles : [SSL_CERT_FILE]).some(add);
  for (const directory of SSL_CERT_DIR.split(":")) {
    if (directory === "") continue;
    for (const name of names(directory)) if (/\.(crt|pem|0)$/.test(name)) add(join(directory, name));
  }
  return found;
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    // As with a missing file: what isn't there adds nothing.
    return [];
  }
}
