import { expect, test } from "bun:test";
import { nearest } from "./nearest.ts";

const commands = ["run", "ps", "images", "inspect", "pull", "push"];

test.each([
  ["rnu", "run"],
  ["rum", "run"],
  ["sp", "ps"],
  ["imgaes", "images"],
  ["inspct", "inspect"],
  ["PULLL", "pull"],
  ["frobnicate", undefined],
  ["r", undefined],
])('"%s" was meant to be %p', (word, meant) => {
  expect(nearest(word, commands)).toBe(meant as string);
});
