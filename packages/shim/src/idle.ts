/** What is done when a shim has come to rest: it will mostly wait from here on, often for days, and there is one for each container. */

import { releaseCode, releaseZeroPages } from "@hull/sys/memory";

let timer: ReturnType<typeof setTimeout> | undefined;

const restMs = 1000;
/** How long the runtime is given to shrink, which it does in a moment of its own. */
const shrinkMs = 200;
/** This one, and one of the engine's that it never wakes again after its start. */
const threads = 2;

const buffers: (() => void)[] = [];

/** Has something let go of memory that it can take again, whenever the shim comes to rest. */
export function onRest(release: () => void): void {
  buffers.push(release);
}

/** After so many bytes the engine's memory is tidied, which would else let tens of megabytes pile up before it does. */
const tidyAfter = 4 * 1024 * 1024;
let behind = 0;
/** There was work since it was last looked whether there is. */
let busy = false;

/** To be told of memory that is used no more: strings that were made of output are several times as large as it is. */
export function leaveBehind(bytes: number): void {
  busy = true;
  behind += bytes;
  if (behind < tidyAfter) return;
  behind = 0;
  Bun.gc(true);
}

/** To be called when there was work; gives back what it needed once no more has come for a while. */
export function restWhenIdle(): void {
  clearTimeout(timer);
  busy = false;
  timer = setTimeout(() => {
    if (busy) {
      restWhenIdle();
      return;
    }
    for (const release of buffers) release();
    Bun.gc(true);
    Bun.shrink();
    timer = setTimeout(releasePages, shrinkMs);
    timer.unref();
  }, restMs);
  timer.unref();
}

function releasePages(): void {
  try {
    releaseZeroPages({ threads });
  } catch {
    // A kernel without these files, or a sandbox that keeps them away: it stays as it is.
  }
  releaseCode();
}
