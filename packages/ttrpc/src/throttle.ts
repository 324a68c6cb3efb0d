import type { ByteLink } from "@hull/link";

const high = 8 * 1024 * 1024;
const low = high / 8;

/**
 * Stops reading a link while its streams hold too much that nobody has taken. ttrpc has no window per stream, so one slow stream
 * holds up the others then: the limit is high enough that only a stream of bulk data meets it.
 */
export function throttle(link: ByteLink): (change: number) => void {
  let held = 0;
  let paused = false;
  return (change) => {
    held += change;
    if (!paused && held > high) {
      paused = true;
      link.pause();
    } else if (paused && held < low) {
      paused = false;
      link.resume();
    }
  };
}
