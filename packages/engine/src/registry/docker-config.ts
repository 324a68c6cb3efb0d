import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { invalidArgument, isCode, notFound, unavailable } from "@hull/errors";
import { isErrno } from "@hull/sys/errno";
import type { Credentials, CredentialsProvider } from "./auth.ts";

/**
 * Docker's `config.json`: where `docker login` and `hull login` keep who one is to registries.
 *
 *   auths        { "<registry>": { "auth": base64 of "user:secret", "identitytoken": …, "registrytoken": … } }
 *   credHelpers  { "<registry>": "<name>" }   the program `docker-credential-<name>` has the credentials of that registry
 *   credsStore   "<name>"                     … of all others
 *
 * Sources: Docker CLI reference, "docker login", sections "Credential stores", "Credential helper protocol" and "Configuration files".
 */
interface DockerConfig {
  auths: Readonly<Record<string, AuthEntry>>;
  credHelpers: Readonly<Record<string, string>>;
  credsStore: string | undefined;
  /** The whole file, for what is written back. */
  whole: Readonly<Record<string, unknown>>;
}

interface AuthEntry {
  auth?: unknown;
  username?: unknown;
  password?: unknown;
  identitytoken?: unknown;
  registrytoken?: unknown;
}

/** What Docker's own registry is called in the file. */
const hubKey = "https://index.docker.io/v1/";
const hubNames: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);
/** The user name by which a helper says that the secret is a refresh token. */
const tokenUser = "<token>";
/** A helper that asks somebody, who isn't there, is not waited for longer, ms. */
const helperTimeout = 60_000;
const maxHelperAnswer = 1 << 20;

/** The credentials of a file, read anew each time they are asked for. No file: none. @throws InvalidArgument for a malformed file */
export function dockerCredentials(file: string): CredentialsProvider {
  return async (host) => {
    const config = readConfig(file);
    const helper = helperFor(config, host);
    if (helper !== undefined) {
      const found = await askHelper(helper, keyOf(host));
      if (found !== undefined) return found;
    }
    const entry = Object.entries(config.auths).find(([key]) => sameHost(key, host))?.[1];
    return entry === undefined ? undefined : credentialsOf(entry, host, file);
  };
}

/**
 * Keeps credentials for a registry: with its helper, or in the file, which only its owner may read then.
 * @returns where they are kept
 */
export async function storeCredentials(
  file: string,
  host: string,
  credentials: { username: string; secret: string },
): Promise<{ helper?: string }> {
  const config = readConfig(file);
  const helper = helperFor(config, host);
  const key = keyOf(host);
  if (helper !== undefined) {
    const { username, secret } = credentials;
    await runHelper(helper, "store", JSON.stringify({ ServerURL: key, Username: username, Secret: secret }));
    return { helper };
  }
  const auth = Buffer.from(`${credentials.username}:${credentials.secret}`).toString("base64");
  await writeConfig(file, { ...config.whole, auths: { ...without(config.auths, host), [key]: { auth } } });
  return {};
}

/** Forgets the credentials for a registry. @returns false if there were none */
export async function eraseCredentials(file: string, host: string): Promise<boolean> {
  const config = readConfig(file);
  const helper = helperFor(config, host);
  if (helper !== undefined) await runHelper(helper, "erase", keyOf(host));
  const rest = without(config.auths, host);
  const known = Object.keys(rest).length < Object.keys(config.auths).length;
  if (known) await writeConfig(file, { ...config.whole, auths: rest });
  return known || helper !== undefined;
}

const keyOf = (host: string): string => (hubNames.has(host) ? hubKey : host);

/** Keys may be whole addresses, of which the host counts. */
function sameHost(key: string, host: string): boolean {
  const named = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return named === host || (hubNames.has(named) && hubNames.has(host));
}

function without(auths: DockerConfig["auths"], host: string): DockerConfig["auths"] {
  return Object.fromEntries(Object.entries(auths).filter(([key]) => !sameHost(key, host)));
}

function helperFor({ credHelpers, credsStore }: DockerConfig, host: string): string | undefined {
  return Object.entries(credHelpers).find(([key]) => sameHost(key, host))?.[1] ?? credsStore;
}

function readConfig(file: string): DockerConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    text = "{}";
  }
  let whole: unknown;
  try {
    whole = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    // A parser's message may quote a secret.
    throw invalidArgument(`"${file}" is no valid JSON`);
  }
  const wrong = (key: string, expected: string): Error => invalidArgument(`"${key}" in "${file}" must be ${expected}`);
  if (!isObject(whole)) throw invalidArgument(`"${file}" must hold a JSON object`);
  const { auths = {}, credHelpers = {}, credsStore = "" } = whole;
  if (!isObject(auths)) throw wrong("auths", "an object");
  for (const [key, entry] of Object.entries(auths)) if (!isObject(entry)) throw wrong(`auths.${key}`, "an object");
  if (!isObject(credHelpers)) throw wrong("credHelpers", "an object");
  const names = [...Object.values(credHelpers), credsStore];
  // The name becomes a program's: nothing but a name may be joined to it.
  if (!names.every((name) => typeof name === "string" && /^[A-Za-z0-9._-]*$/.test(name)))
    throw invalidArgument(`a credential helper in "${file}" must be a name, as "pass" for docker-credential-pass`);
  return {
    auths: auths as DockerConfig["auths"],
    credHelpers: credHelpers as DockerConfig["credHelpers"],
    credsStore: credsStore === "" ? undefined : (credsStore as string),
    whole,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function credentialsOf(entry: AuthEntry, host: string, file: string): Credentials | undefined {
  const { auth, identitytoken, registrytoken } = entry;
  if (typeof identitytoken === "string" && identitytoken !== "") return { identityToken: identitytoken };
  if (typeof registrytoken === "string" && registrytoken !== "") return { registryToken: registrytoken };
  if (typeof auth === "string" && auth !== "") {
    const text = Buffer.from(auth, "base64").toString("utf8");
    const colon = text.indexOf(":");
    if (colon < 0) throw invalidArgument(`the entry "auth" of "${host}" in "${file}" is not "user:password" in base64`);
    return { username: text.slice(0, colon), secret: text.slice(colon + 1).replace(/\0+$/, "") };
  }
  const { username, password } = entry;
  return typeof username === "string" && typeof password === "string" ? { username, secret: password } : undefined;
}

async function askHelper(helper: string, key: string): Promise<Credentials | undefined> {
  let answer: string;
  try {
    answer = await runHelper(helper, "get", key);
  } catch (error) {
    if (isCode(error, "notFound")) return undefined;
    throw error;
  }
  try {
    const { Username, Secret } = JSON.parse(answer) as { Username?: unknown; Secret?: unknown };
    if (typeof Secret === "string" && Secret !== "" && typeof Username === "string")
      return Username === tokenUser ? { identityToken: Secret } : { username: Username, secret: Secret };
  } catch {
    // What it answered may hold the secret: nothing of it is shown.
  }
  throw unavailable(`credential helper "docker-credential-${helper}" gave no credentials that can be understood`);
}

/** Runs `docker-credential-<helper> <verb>`. @throws NotFound if it has nothing; Unavailable if it can't be run or fails */
function runHelper(helper: string, verb: "get" | "store" | "erase", input: string): Promise<string> {
  const program = `docker-credential-${helper}`;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(program, [verb], { stdio: ["pipe", "pipe", "ignore"], timeout: helperTimeout });
  let answer = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
    if (answer.length > maxHelperAnswer) child.kill("SIGKILL");
  });
  // It need not read what it is told.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  child.on("error", (error) =>
    reject(unavailable(`credential helper "${program}" can't be run: ${error.message}`, { cause: error })),
  );
  child.on("close", (status, signal) => {
    if (status === 0) resolve(answer);
    else if (/credentials not found/i.test(answer)) reject(notFound(`"${program}" has no credentials for "${input}"`));
    else reject(unavailable(`credential helper "${program}" failed (${signal ?? `status ${status}`})`));
  });
  return promise;
}

async function writeConfig(file: string, config: object): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const next = `${file}.${process.pid}`;
  try {
    await writeFile(next, `${JSON.stringify(config, undefined, "\t")}\n`, { mode: 0o600, flag: "wx" });
    await rename(next, file);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
}
