import type { Context } from "../context.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import type { Container } from "./index.ts";

/** Something that clients who ask for it by its id see as a container with a running task, though it is neither. */
export interface StandIn {
  readonly container: Container;
  /** Of its task; undefined if it has none. */
  pid(): number | undefined;
}

/**
 * Stand-ins by namespace and id. They are in no list, and nothing can be done to them: they are for programs that follow control groups, and
 * ask what a group's name means.
 */
export class StandIns {
  readonly #all = new Map<string, StandIn>();

  add(ctx: Context, standIn: StandIn): void {
    this.#all.set(keyOf(ctx, standIn.container.id), standIn);
  }

  /** One that isn't there is fine. */
  delete(ctx: Context, id: string): void {
    this.#all.delete(keyOf(ctx, id));
  }

  find(ctx: Context, id: string): StandIn | undefined {
    return this.#all.get(keyOf(ctx, id));
  }
}

/** The plugin's id, of the type for what is internal. */
export const standInsId = "stand-ins";

export const standInsPlugin = definePlugin({
  type: pluginTypes.internal,
  id: standInsId,
  start: () => new StandIns(),
});

const keyOf = ({ namespace }: Context, id: string): string => `${namespace}/${id}`;
