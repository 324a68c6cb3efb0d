import { randomBytes, randomInt } from "node:crypto";
import { invalidArgument } from "@hull/errors";

const adjectives = (
  "able agile amber ample azure bold brave bright brisk calm candid civil clear clever cosy crisp deft eager early easy even fair " +
  "fleet fond frank free fresh gentle glad golden grand green happy hardy honest humble jolly keen kind lively loyal lucky mellow " +
  "merry mild modest neat nimble noble patient plain polite proud quick quiet ready robust ruddy silver sincere sleek smart smooth " +
  "snug sober solid spry stable steady still stout sunny swift tidy tranquil trim true upbeat vivid warm wise witty zesty"
).split(" ");

const nouns = (
  "anchor bay beacon berth boom bosun bow breeze brig buoy cabin canvas capstan cay channel chart clipper coast compass coral cove " +
  "crew current cutter deck delta dinghy dock dolphin drift ferry fjord fleet galley gull harbor hatch haven hawser heron jetty jib " +
  "kayak keel ketch knot lagoon lantern lighthouse lock lugger mainsail mast mooring oar otter outpost pelican pier pilot porthole " +
  "quay rigging rudder sail schooner seal sextant shoal shore skiff sloop spar starfish stern strait tide tiller tug wharf yawl"
).split(" ");

/** A name for a container that was given none: two words, and a number where the first tries were taken. */
export function randomName(attempt = 0): string {
  const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? "";
  return `${pick(adjectives)}_${pick(nouns)}${attempt < 3 ? "" : randomInt(10, 1000)}`;
}

/** A container's id: 64 hexadecimal digits. */
export function newContainerId(): string {
  return randomBytes(32).toString("hex");
}

/** How an id is shown. */
export const shortId = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

const nameShape = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws InvalidArgument for a name that Docker wouldn't take */
export function checkName(name: string): void {
  if (!nameShape.test(name))
    throw invalidArgument(
      `"${name}" can't be a container's name: two or more letters, digits, "_", "." and "-", the first a letter or digit`,
    );
}
