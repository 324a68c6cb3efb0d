import { readShared } from "@hull/client/io/pump";
import { eraseCredentials, storeCredentials } from "@hull/engine/registry/docker-config";
import { checkAccess, defaultHosts } from "@hull/engine/registry/index";
import { HullError, invalidArgument, isCode } from "@hull/errors";
import type { Host } from "../../command/index.ts";
import { dockerConfigFile } from "../credentials.ts";
import { needArguments } from "../find.ts";
import type { Call } from "../globals.ts";

const maxPassword = 64 * 1024;

export interface LoginFlags {
  username: string | undefined;
  password: string | undefined;
  "password-stdin": boolean;
  "plain-http": boolean;
}

/** `hull login [REGISTRY]`: asks the registry first, then keeps what it took. */
export async function login({ args, flags, host }: Call<LoginFlags>): Promise<number> {
  needArguments(args, 0, 1, "");
  const registry = registryOf(args[0]);
  if (flags.password !== undefined && flags["password-stdin"])
    throw invalidArgument("give --password or --password-stdin, not both");
  if (flags["password-stdin"] && flags.username === undefined)
    throw invalidArgument("--password-stdin needs --username: there is nothing left to read the name from");
  const username = flags.username ?? (await ask(host, "Username: ", true));
  const given = flags["password-stdin"] ? await passwordFromInput() : flags.password;
  const secret = given ?? (await ask(host, "Password: ", false));
  if (username === "" || secret === "") throw invalidArgument("a user name and a password are needed");
  const credentials = { username, secret };
  try {
    const hosts = defaultHosts({ plainHttp: flags["plain-http"] });
    await checkAccess(registry, { hosts, credentials: () => credentials }, new AbortController().signal);
  } catch (error) {
    const { code, message } = HullError.from(error);
    const refused = isCode(error, "unauthenticated") || isCode(error, "permissionDenied");
    throw new HullError(code, refused ? `"${registry}" refused the login: ${message}` : message, { cause: error });
  }
  const file = dockerConfigFile();
  const { helper } = await storeCredentials(file, registry, credentials);
  if (helper === undefined)
    host.err(
      `hull: the password is kept unencrypted in "${file}": a credential helper there ("credsStore") would encrypt it\n`,
    );
  await host.out("Login Succeeded\n");
  return 0;
}

/** `hull logout [REGISTRY]` */
export async function logout({ args, host }: Call): Promise<number> {
  needArguments(args, 0, 1, "");
  const registry = registryOf(args[0]);
  const known = await eraseCredentials(dockerConfigFile(), registry);
  await host.out(`${known ? "Removing login credentials for" : "Not logged in to"} ${registry}\n`);
  return 0;
}

/** The host of what people give as a registry, an address too. */
function registryOf(text = "docker.io"): string {
  const registry = text.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  if (!/^[A-Za-z0-9.[\]:-]+$/.test(registry)) throw invalidArgument(`"${text}" is no registry's host`);
  return registry === "index.docker.io" || registry === "registry-1.docker.io" ? "docker.io" : registry;
}

async function passwordFromInput(): Promise<string> {
  let text = "";
  for await (const chunk of readShared(0)) {
    text += Buffer.from(chunk).toString("utf8");
    if (text.length > maxPassword) throw invalidArgument("the password on the standard input is too long");
  }
  return text.replace(/\r?\n$/, "");
}

/** Asks at the terminal; what is typed shows only if it may. */
async function ask(host: Host, question: string, visible: boolean): Promise<string> {
  if (!process.stdin.isTTY)
    throw invalidArgument("there is no terminal to ask at: give --username and --password-stdin");
  host.err(question);
  if (!visible) process.stdin.setRawMode(true);
  try {
    let answer = "";
    for await (const chunk of process.stdin) {
      for (const character of String(chunk)) {
        if (character === "\r" || character === "\n") return answer;
        // Ctrl-C and Ctrl-D, which a terminal that is read raw doesn't act on.
        if (character === "\u0003" || character === "\u0004") throw invalidArgument("no answer was given");
        answer = character === "\u007f" ? answer.slice(0, -1) : answer + character;
      }
    }
    return answer;
  } finally {
    if (!visible) {
      process.stdin.setRawMode(false);
      host.err("\n");
    }
  }
}
