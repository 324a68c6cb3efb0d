import { releaseCode } from "@hull/sys/memory";

/** So long after the last caller came the daemon counts as at rest, ms. */
const restMs = 2000;

let timer: NodeJS.Timeout | undefined;

/**
 * To be called when somebody connects: once nobody has for a while, gives back what the start and the work needed. A daemon mostly waits;
 * what it uses again comes back within a fraction of a millisecond.
 */
export function restWhenIdle(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    // Collects beside the event loop.
    Bun.gc(false);
    releaseCode();
  }, restMs);
  timer.unref();
}
