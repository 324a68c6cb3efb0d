import type { NameSource } from "../completion/complete.ts";
import { daemonNames } from "../completion/names.ts";
import { nameOf, repositoryAndTag } from "./find.ts";
import { globalFlags, placeOf } from "./globals.ts";

/** The names that the daemon of hull's flags knows, as hull's lists show them. */
export function dockerNames(env: Readonly<Record<string, string | undefined>>): NameSource {
  const given = (flag: keyof typeof globalFlags, globals: Readonly<Record<string, string>>): string | undefined => {
    const { env: variables = [] } = globalFlags[flag] as { env?: readonly string[] };
    return globals[flag] ?? variables.map((name) => env[name]).find((value) => value);
  };
  return daemonNames({
    address: (globals) =>
      placeOf({
        address: given("address", globals),
        root: given("root", globals),
        state: given("state", globals),
      }).address,
    namespace: (globals) => given("namespace", globals) ?? "default",
    nameOf,
    imageName: (name) => {
      const { repository, tag } = repositoryAndTag(name);
      return tag === "<none>" ? name : `${repository}:${tag}`;
    },
  });
}
