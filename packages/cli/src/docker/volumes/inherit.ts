import type { Client } from "@hull/client/client";
import { invalidArgument } from "@hull/errors";
import { findContainer } from "../find.ts";
import { mountsGiven } from "./given.ts";
import { type PlacedMount, type VolumeStore, volumesOf } from "./index.ts";

/**
 * The volumes and binds of other containers, as `--volumes-from` names these: `CONTAINER[:ro|rw]`. Of two at the same place the later
 * counts. @throws NotFound; InvalidArgument
 */
export async function inheritedMounts(
  client: Client,
  texts: readonly string[],
  store: VolumeStore,
): Promise<PlacedMount[]> {
  const found = new Map<string, PlacedMount>();
  for (const text of texts) {
    const { key, readOnly } = parse(text);
    const container = await findContainer(client, key);
    const volumes = volumesOf(container);
    for (const given of mountsGiven(container)) {
      const { destination, options = [] } = given;
      const mount = readOnly && !options.includes("ro") ? { ...given, options: [...options, "ro"] } : given;
      const volume = volumes.find((each) => each.destination === destination);
      const path = volume === undefined ? undefined : store.find(volume.name)?.path;
      found.set(
        destination,
        volume === undefined || path === undefined ? { mount } : { mount, volume: { ...volume, path, fill: false } },
      );
    }
  }
  return [...found.values()];
}

function parse(text: string): { key: string; readOnly: boolean } {
  const [key = "", mode = "rw", ...rest] = text.split(":");
  if (key === "" || rest.length > 0)
    throw invalidArgument(`--volumes-from "${text}" must be of the form CONTAINER[:ro|rw]`);
  const modes = mode.split(",");
  // Labels of SELinux: where it isn't on, docker does nothing either.
  const wrong = modes.find((each) => !["ro", "rw", "z", "Z"].includes(each));
  if (wrong !== undefined) throw invalidArgument(`--volumes-from "${text}": invalid mode: ${mode}; use ro or rw`);
  return { key, readOnly: modes.includes("ro") };
}
