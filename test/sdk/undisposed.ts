/**
 * A program that disposes of nothing. It ends by itself when it has nothing left to do; until then its connection keeps it.
 *
 *   bun test/sdk/undisposed.ts ADDRESS ARCHIVE
 */
import { createReadStream } from "node:fs";
import { connect } from "@hull/client";

const [address = "", archive = ""] = process.argv.slice(2);
const hull = await connect({ address });
await hull.images.import(createReadStream(archive));
// Nothing but the answers of the daemon keeps the program meanwhile.
const container = await hull.run("busybox", { command: ["sleep", "0.5"], stdout: "ignore", stderr: "ignore" });
const { code } = await container.exit;
await container[Symbol.asyncDispose]();
console.log(code);
