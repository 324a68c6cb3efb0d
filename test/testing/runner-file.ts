/** A file of tests for Node's test runner, which says nothing of an end. IMAGE names an archive, PLACE may be `engine`. */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import test from "node:test";
import * as testing from "@hull/testing";

const { forExit, openSession } = testing;
const { startContainer, withHull } =
  process.env.PLACE === "engine"
    ? await openSession({ address: "engine" }).then((session) => ({
        startContainer: session.startContainer.bind(session),
        withHull: session.withHull.bind(session),
      }))
    : testing;

test("an image is brought along", async () => {
  await withHull((hull) => hull.images.import(createReadStream(process.env.IMAGE ?? "")));
});

test("a container runs", async () => {
  await using container = await startContainer("busybox", { command: ["echo", "hi"], wait: [forExit()] });
  assert.equal(container.output, "hi\n");
});

test("a pause, in which what isn't used is closed", () => new Promise((resolve) => setTimeout(resolve, 600)));

test("another runs", async () => {
  await using container = await startContainer("busybox", { command: ["echo", "hi"], wait: [forExit()] });
  assert.equal(container.ended, true);
});
