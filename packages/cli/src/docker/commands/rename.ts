import { alreadyExists } from "@hull/errors";
import { containersNamed, findContainer, needArguments } from "../find.ts";
import { giveName } from "../give-name.ts";
import type { Call } from "../globals.ts";
import { checkName, shortId } from "../names.ts";
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
  await giveName(client, container, name, call.globals);
  return 0;
}
