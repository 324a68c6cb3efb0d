import type { SpecMount } from "@hull/oci/spec";
import { CtrError } from "./errors.ts";

/**
 * A mount as `--mount` writes it: `type=bind,src=/tmp,dst=/host,options=rbind:ro`. Fields may be quoted as in CSV.
 * @throws CtrError in ctr's words
 */
export function parseMount(text: string): SpecMount {
  const mount: SpecMount = { destination: "" };
  for (const field of splitFields(text)) {
    const [key = "", ...rest] = field.split("=");
    const value = rest.join("=");
    if (rest.length === 0) throw new CtrError(`invalid mount specification: expected key=val`);
    switch (key) {
      case "type":
        mount.type = value;
        break;
      case "source":
      case "src":
        mount.source = value;
        break;
      case "destination":
      case "dst":
        mount.destination = value;
        break;
      case "options":
        mount.options = value.split(":");
        break;
      default:
        throw new CtrError(`mount option "${key}" not supported`);
    }
  }
  return mount;
}

/** Fields between commas; one in double quotes may have commas, and quotes written twice. */
function splitFields(text: string): string[] {
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
  );
}
