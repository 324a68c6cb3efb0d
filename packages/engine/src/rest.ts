import { releaseCode } from "@hull/sys/memory";

/** So long after the last of the work the process counts as at rest, ms. */
const restMs = 2000;
/** A collection beside the event loop is done by then, ms. */
const collectionMs = 500;

let timer: NodeJS.Timeout | undefined;
let keepsCode = false;

/**
 * To be called when there is work, such as somebody who connects or a pod that is made: once there was none for a while, gives back what
 * the start and the work needed. A daemon mostly waits; what it uses again comes back within a fraction of a millisecond.
 */
export function restWhenIdle(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    // Collects beside the event loop; what that freed is given back once it is done.
    Bun.gc(false);
    timer = setTimeout(() => {
      if (!keepsCode) Bun.shrink();
      releaseCode();
    }, collectionMs);
    timer.unref();
  }, restMs);
  timer.unref();
}

/**
 * From now on what was compiled stays at rest, too: for one whom somebody asks every second from now on. To shrink is to throw away all that
 * was compiled; to compile it again, after each pod that was made, takes more than the asking.
 */
export function keepCode(): void {
  keepsCode = true;
}
