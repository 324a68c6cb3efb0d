import { invalidArgument } from "@hull/errors";
import { parseQualifiedName } from "@hull/oci/cdi";
import { cdiAnnotationPrefix } from "./index.ts";

/** The devices that a container's or pod's annotations ask for. @throws InvalidArgument for what is no name of a device */
export function devicesOfAnnotations(annotations: Readonly<Record<string, string>>): string[] {
  const names = Object.entries(annotations)
    .filter(([key]) => key.startsWith(cdiAnnotationPrefix))
    .flatMap(([, value]) => value.split(","));
  for (const name of names)
    if (parseQualifiedName(name) === undefined) throw invalidArgument(`invalid CDI device name "${name}"`);
  return names;
}
