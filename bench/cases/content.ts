import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { runProgram } from "../../test/support/process.ts";
import type { Peer } from "../peers.ts";
import { type Sample, timed } from "../sample.ts";

const MiB = 1024 * 1024;

/** Runs ctr with a file as its input and its output thrown away, so that only the daemons differ. */
async function ctrWithFile(peer: Peer, args: readonly string[], input?: string): Promise<void> {
  const child = Bun.spawn(["ctr", "--address", peer.daemon.address, ...args], {
    stdin: input === undefined ? "ignore" : Bun.file(input),
    stdout: Bun.file("/dev/null"),
    stderr: "inherit",
  });
  if ((await child.exited) !== 0) throw new Error(`ctr ${args.join(" ")} failed on ${peer.label}`);
}

/** Throughput of writing a blob and of reading it, through ctr. `file` holds the bytes. */
export async function contentCases(
  peers: { hull: Peer; containerd: Peer },
  file: string,
  rounds: number,
): Promise<Sample[]> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: MiB })) hash.update(chunk);
  const digest = `sha256:${hash.digest("hex")}`;
  const size = readFileSync(file).byteLength / MiB;
  const write: Sample = { name: "content write", unit: "MiB/s", hull: [], containerd: [] };
  const read: Sample = { name: "content read", unit: "MiB/s", hull: [], containerd: [] };
  const once = async (peer: Peer, round: number) => {
    const ms = await timed(() =>
      ctrWithFile(peer, ["content", "ingest", "--expected-digest", digest, `bench-${round}`], file),
    );
    const readMs = await timed(() => ctrWithFile(peer, ["content", "get", digest]));
    await runProgram(["ctr", "--address", peer.daemon.address, "content", "rm", digest]);
    write[peer.label].push((size * 1000) / ms);
    read[peer.label].push((size * 1000) / readMs);
    // A deleted blob's bytes go with the next collection; a lease made and deleted asks for one now.
    await peer.ctr("leases", "create", "--id", `bench-${round}`);
    await peer.ctr("leases", "rm", "--sync", `bench-${round}`);
  };
  for (let round = 0; round < rounds; round++) {
    await once(peers.hull, round);
    await once(peers.containerd, round);
  }
  return [write, read];
}
