import { randomBytes } from "node:crypto";
import { isCode } from "@hull/errors";
import type { Context } from "../../context.ts";
import type { Mount } from "../index.ts";
import { handlers } from "./handlers.ts";
import type { Activation, MountManager } from "./index.ts";
import { transforms } from "./transforms.ts";

/** True if the mounts are more than the system alone can do. */
export function needManager(mounts: readonly Mount[]): boolean {
  return mounts.some(({ type }) => {
    const [first = "", ...rest] = type.split("/");
    return handlers[type] !== undefined || (rest.length > 0 && transforms[first] !== undefined);
  });
}

/** Mounts that the system alone can do, for as long as the scope lasts. */
export interface LentMounts extends AsyncDisposable {
  readonly mounts: readonly Mount[];
}

/** Has the manager, if there is one, do what it takes for the rest to be plain mounts. @throws as `MountManager.activate` */
export async function lendMounts(
  manager: MountManager | undefined,
  ctx: Context,
  mounts: readonly Mount[],
): Promise<LentMounts> {
  if (manager === undefined || !needManager(mounts)) return { mounts, [Symbol.asyncDispose]: async () => {} };
  const name = `lent-${randomBytes(8).toString("hex")}`;
  const activation = await manager.activate(ctx, name, mounts);
  return { mounts: rest(activation), [Symbol.asyncDispose]: () => manager.deactivate(ctx, name) };
}

/** The same for a container's root file system: until `returnRootfs`, or the collection after the container has gone. */
export async function lendRootfs(
  manager: MountManager | undefined,
  ctx: Context,
  container: string,
  mounts: readonly Mount[],
): Promise<readonly Mount[]> {
  if (manager === undefined || !needManager(mounts)) return mounts;
  try {
    const labels = { "containerd.io/gc.bref.container": container };
    return rest(await manager.activate(ctx, container, mounts, { labels }));
  } catch (error) {
    // Of a task that was lost.
    if (isCode(error, "alreadyExists")) return rest(await manager.info(ctx, container));
    throw error;
  }
}

/** What is left to mount: if the manager did it all, its last mount. */
function rest({ active, system }: Activation): readonly Mount[] {
  const last = active.at(-1);
  if (system.length > 0 || last === undefined) return system;
  return [{ type: "bind", source: last.mountPoint, target: "", options: ["rbind"] }];
}

/** Takes a root file system back, if it was lent. */
export async function returnRootfs(manager: MountManager | undefined, ctx: Context, container: string): Promise<void> {
  try {
    await manager?.deactivate(ctx, container);
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}
