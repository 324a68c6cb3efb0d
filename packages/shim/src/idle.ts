/** What is done when a shim has come to rest: it will mostly wait from here on, often for days, and there is one for each container. */

import { releaseCode, releasePages } from "@hull/sys/memory";
import { RestPace } from "./rest-pace.ts";

let timer: ReturnType<typeof setTimeout> | undefined;
let pace = new RestPace();

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

/** To be called when the shim gets something to keep, or has nothing any more: how often it was asked before says nothing of now. */
export function beginAnew(): void {
  pace = new RestPace();
  restWhenIdle();
}

/** To be called when there was work, as there is in each answer; gives back what it needed once no more has come for a while. */
export function restWhenIdle(): void {
  clearTimeout(timer);
  busy = false;
  timer = setTimeout(rest, pace.work(performance.now()));
  timer.unref();
}

function rest(): void {
  if (busy) {
    restWhenIdle();
    return;
  }
  pace.rest(performance.now());
  for (const release of buffers) release();
  Bun.gc(true);
  Bun.shrink();
  timer = setTimeout(giveBack, shrinkMs);
  timer.unref();
}

function giveBack(): void {
  try {
    releasePages({ threads });
  } catch {
    // A kernel without these files, or a sandbox that keeps them away: it stays as it is.
  }
  releaseCode();
}
