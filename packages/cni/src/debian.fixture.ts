/** Run in a network namespace of its own: attaches a container's namespace to a bridge by the real plugins, and prints what came of it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { Cni } from "./cni.ts";
import { parseNetwork } from "./network.ts";

const [, , plugins = "", folder = ""] = process.argv;
const list = {
  cniVersion: "1.0.0",
  name: "test",
  plugins: [
    {
      type: "bridge",
      bridge: "br-test",
      isGateway: true,
      ipam: { type: "host-local", dataDir: `${folder}/ipam`, ranges: [[{ subnet: "10.77.0.0/24" }]] },
    },
  ],
};
const network = parseNetwork(JSON.stringify(list), "test.conflist");
const cni = new Cni({ pluginDirectories: [plugins], cacheDirectory: `${folder}/cache` });
// A process whose namespace stands for a container's: it says when it is in it.
const container = spawn("unshare", ["-n", "sh", "-c", "echo in; read _"], { stdio: ["pipe", "pipe", "inherit"] });
await once(container.stdout, "data");
const netns = `/proc/${container.pid}/ns/net`;
const attachment = { containerId: "c1", netns, interfaceName: "eth0" };
const inside = (...args: string[]): string =>
  spawnSync("nsenter", [`--net=${netns}`, ...args], { encoding: "utf8" }).stdout.trim();
const { ips } = await cni.add(network, attachment);
await cni.check(network, attachment);
const addressed = inside("ip", "-4", "-o", "addr", "show", "dev", "eth0");
await cni.remove(network, attachment);
const gone = await cni.check(network, attachment).then(
  () => false,
  () => true,
);
const left = inside("ip", "-o", "link", "show", "dev", "eth0");
container.stdin.end();
console.log(JSON.stringify({ ips, addressed, gone, left }));
