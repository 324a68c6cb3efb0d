import { join } from "node:path";
import { ContainersDefinition } from "@hull/api/gen/containerd/services/containers/v1/containers";
import { namesDirectory, renameMember } from "@hull/client/network/names";
import { alreadyExists } from "@hull/errors";
import { clientDirectory } from "../client-directory.ts";
import { containersNamed, findContainer, needArguments } from "../find.ts";
import { type Call, placeOf } from "../globals.ts";
import { labelNames } from "../labels.ts";
import { checkName, shortId } from "../names.ts";
import { attaches } from "../network/files.ts";
import { heldNamespaces } from "../network/flags.ts";
import { openSession } from "../session.ts";

/** `hull rename CONTAINER NAME` */
export async function rename(call: Call): Promise<number> {
  needArguments(call.args, 2, 2, "a container and its new name are");
  const [key = "", name = ""] = call.args;
  checkName(name);
  await using client = await openSession(call);
  const container = await findContainer(client, key);
  const [other] = await containersNamed(client, name);
  if (other !== undefined)
    throw alreadyExists(
      `the name "${name}" is in use by container ${shortId(other.id)}: remove or rename that one, or choose another name`,
    );
  const labels = { ...container.labels, [labelNames.name]: name };
  const updateMask = [`labels.${labelNames.name}`];
  await client.service(ContainersDefinition).update({ container: { ...container, labels }, updateMask });
  const network = container.labels[labelNames.network] ?? "none";
  if (container.labels[labelNames.files] === "true" && attaches(network)) {
    const directory = await clientDirectory(client, "containers", placeOf(call.globals).root);
    const naming = join(directory, client.namespace, container.id, "names.json");
    const held = namesDirectory(heldNamespaces(call.globals));
    renameMember(held, network, { key: `${client.namespace}-${container.id}`, naming, name });
  }
  return 0;
}
