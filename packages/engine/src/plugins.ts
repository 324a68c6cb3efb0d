import { contentPlugin } from "./content/plugin.ts";
import { metadataPlugin } from "./metadata/plugin.ts";
import type { AnyPlugin } from "./plugin/graph.ts";
import { nativePlugin, overlayPlugin } from "./snapshots/plugin.ts";

/** Every plugin of the engine. */
export const enginePlugins: readonly AnyPlugin[] = [metadataPlugin, contentPlugin, overlayPlugin, nativePlugin];
