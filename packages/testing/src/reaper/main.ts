/** The reaper's own program: see `index.ts`. */
import { writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { dismissal, type ReaperOrder } from "./index.ts";

/** For what the test process had just asked for when it died: by then a daemon has made it. ms */
const settlingMs = 500;

// It was for this process alone: the executable of hull, which Bun compiled too, is to be itself.
delete process.env.BUN_BE_BUN;

const [order = "", word] = (await text(process.stdin)).split("\n");
if (word !== dismissal && order !== "") await cleanUp(JSON.parse(order) as ReaperOrder);

async function cleanUp({ session, place, folder }: ReaperOrder): Promise<void> {
  try {
    // Loaded when it is needed: until then it takes as little memory as can be.
    const [{ openPlace }, { removeContainers, removeFolder }, { removeNetworks }] = await Promise.all([
      import("../place.ts"),
      import("../clean-up.ts"),
      import("../own-networks.ts"),
    ]);
    {
      // An engine takes all away when it opens.
      await using hull = await openPlace(place);
      await removeContainers(hull, session);
      if (place.kind === "daemon") {
        await pause(settlingMs);
        await removeContainers(hull, session);
      }
    }
    await removeNetworks(session);
    removeFolder(folder);
  } catch (error) {
    // Nobody reads what it prints.
    writeFileSync(`${folder}/reaper-failed.txt`, `${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
}
