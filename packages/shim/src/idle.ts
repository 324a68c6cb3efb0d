/** Giving memory back when a shim has come to rest: it will mostly wait from here on, often for days, and there is one for each container. */

let timer: ReturnType<typeof setTimeout> | undefined;

const restMs = 1000;

/** To be called when there was work; collects once no more has come for a while. */
export function collectWhenIdle(): void {
  clearTimeout(timer);
  timer = setTimeout(() => Bun.gc(true), restMs);
  timer.unref();
}
