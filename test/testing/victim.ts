/** A test process that is to die: `victim.ts ADDRESS|engine ARCHIVE`. Prints its containers' process ids, and ends by itself if told `leave`. */
import { createReadStream } from "node:fs";
import { openSession } from "@hull/testing";

const [address = "", archive = "", end] = process.argv.slice(2);
const session = await openSession({ address });
await session.withHull((hull) => hull.images.import(createReadStream(archive)));
await session.createNetwork();
const command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
const containers = [
  await session.startContainer("busybox", { command }),
  await session.startContainer("busybox", { command }),
];
console.log(JSON.stringify(containers.map(({ container }) => container.pid)));
if (end === "leave") process.exit(0);
// For ever.
setInterval(() => {}, 1000);
