import { autoRemovePlugin } from "./auto-remove/plugin.ts";
import { containersPlugin } from "./containers/plugin.ts";
import { standInsPlugin } from "./containers/stand-ins.ts";
import { contentPlugin, contentServicePlugin } from "./content/plugin.ts";
import { diffPlugin, walkingPlugin } from "./diff/plugin.ts";
import { eventLogPlugin } from "./event-log/plugin.ts";
import { eventsPlugin } from "./events/plugin.ts";
import { collectorPlugin } from "./gc/plugin.ts";
import { healthPlugin } from "./health/plugin.ts";
import { imagesPlugin } from "./images/plugin.ts";
import { leasesPlugin } from "./leases/plugin.ts";
import { metadataPlugin } from "./metadata/plugin.ts";
import { mountManagerPlugin } from "./mount/manager/plugin.ts";
import { namespacesPlugin } from "./namespaces/plugin.ts";
import { nriPlugin } from "./nri/plugin.ts";
import { optPlugin } from "./opt/plugin.ts";
import type { AnyPlugin } from "./plugin/graph.ts";
import { restartPlugin } from "./restart/plugin.ts";
import { tasksPlugin } from "./runtime/plugin.ts";
import { sandboxStorePlugin, shimControllerPlugin } from "./sandbox/plugin.ts";
import {
  blockfilePlugin,
  btrfsPlugin,
  erofsPlugin,
  nativePlugin,
  overlayPlugin,
  snapshotsServicePlugin,
} from "./snapshots/plugin.ts";
import { transferPlugin } from "./transfer/plugin.ts";
import { imageVerifierPlugin } from "./verifier/plugin.ts";
import { deprecationsPlugin } from "./warnings/plugin.ts";

/** Every plugin of the engine. */
export const enginePlugins: readonly AnyPlugin[] = [
  optPlugin,
  eventsPlugin,
  eventLogPlugin,
  metadataPlugin,
  contentPlugin,
  contentServicePlugin,
  overlayPlugin,
  nativePlugin,
  blockfilePlugin,
  btrfsPlugin,
  erofsPlugin,
  snapshotsServicePlugin,
  deprecationsPlugin,
  collectorPlugin,
  mountManagerPlugin,
  namespacesPlugin,
  imagesPlugin,
  containersPlugin,
  standInsPlugin,
  leasesPlugin,
  sandboxStorePlugin,
  walkingPlugin,
  diffPlugin,
  imageVerifierPlugin,
  transferPlugin,
  tasksPlugin,
  shimControllerPlugin,
  autoRemovePlugin,
  restartPlugin,
  healthPlugin,
  nriPlugin,
];
