/** Giving memory back when a shim has come to rest: it will mostly wait from here on, often for days, and there is one for each container. */

import { releaseCode } from "@hull/sys/memory";
import { releasePump } from "./pump.ts";

let timer: ReturnType<typeof setTimeout> | undefined;

const restMs = 1000;

/** To be called when there was work; gives back what it needed once no more has come for a while. */
export function restWhenIdle(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    releasePump();
    Bun.gc(true);
    Bun.shrink();
    releaseCode();
  }, restMs);
  timer.unref();
}
