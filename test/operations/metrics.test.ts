/** The metrics of hull beside those of the real containerd: names, types, help texts, labels. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { removeLeftovers } from "../support/leftovers.ts";
import { runProgram, startServer } from "../support/process.ts";
import { scratch } from "../support/scratch.ts";

const skipped = noContainerd === undefined ? "" : ` (skipped: ${noContainerd})`;

/** A port of the loopback that is free now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe.skipIf(noContainerd !== undefined)(`metrics${skipped}`, () => {
  const stack = new AsyncDisposableStack();
  const namespace = `test-${process.pid}-m`;
  const pages = { containerd: "", hull: "" };

  beforeAll(async () => {
    const folder = stack.use(scratch());
    stack.defer(() => removeLeftovers(namespace));
    mkdirSync(folder.join("rootfs/bin"), { recursive: true });
    for (const name of ["proc", "sys", "dev"]) mkdirSync(folder.join("rootfs", name));
    copyFileSync("/bin/busybox", folder.join("rootfs/bin/busybox"));
    symlinkSync("busybox", folder.join("rootfs/bin/sleep"));
    const ports = [await freePort(), await freePort()] as const;
    const metrics = (port: number) => `[metrics]\naddress = "127.0.0.1:${port}"\ngrpc_histogram = true\n`;
    mkdirSync(folder.join("c"));
    const file = folder.join("c/config.toml");
    const own = `version = 2\nroot = "${folder.join("c/root")}"\nstate = "${folder.join("c/state")}"\n`;
    const plugins = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n';
    const grpc = `[grpc]\naddress = "${folder.join("c/s.sock")}"\n`;
    writeFileSync(file, own + plugins + grpc + metrics(ports[0]));
    stack.use(await startServer(["/usr/bin/containerd", "-c", file], /successfully booted/));
    const runc = '[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n';
    const hull = stack.use(await startHull(folder.join("h"), metrics(ports[1]) + runc));
    for (const [name, address, port] of [
      ["containerd", folder.join("c/s.sock"), ports[0]],
      ["hull", hull.address, ports[1]],
    ] as const) {
      const ctr = async (...args: string[]): Promise<void> => {
        const { status, stderr } = await runProgram(["ctr", "-a", address, "-n", namespace, ...args]);
        if (status !== 0) throw new Error(`${name}: ctr ${args.join(" ")}: ${stderr}`);
      };
      await ctr("run", "-d", "--rootfs", folder.join("rootfs"), `m-${name}`, "/bin/sleep", "1000");
      const page = await (await fetch(`http://127.0.0.1:${port}/v1/metrics`)).text();
      await ctr("tasks", "rm", "-f", `m-${name}`);
      pages[name] = page.replaceAll(`m-${name}`, "ID");
    }
  });
  afterAll(() => stack.disposeAsync());

  /** Lines of the metrics that this pattern names, without their values. */
  const shape = (page: string, pattern: RegExp): string[] =>
    page
      .split("\n")
      .filter((line) => pattern.test(line))
      .map((line) => (line.startsWith("#") ? line : line.slice(0, line.lastIndexOf(" "))));

  test("every metric of a task is there, and no other", () => {
    const container = /^(# (HELP|TYPE) )?container_/;
    expect(shape(pages.hull, container)).toEqual(shape(pages.containerd, container));
  });

  test("of calls, the process and the scrapes as well", () => {
    const families = /^# (HELP|TYPE) (grpc_server|process|promhttp|containerd_build)/;
    expect(shape(pages.hull, families)).toEqual(shape(pages.containerd, families));
    const version = /grpc_service="containerd.services.(version|events|content|leases)/;
    expect(shape(pages.hull, version).sort()).toEqual(shape(pages.containerd, version).sort());
  });

  test("the call that was made is counted", () => {
    const created =
      /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Create",grpc_service="containerd.services.tasks.v1.Tasks",grpc_type="unary"\} 1$/m;
    expect(pages.containerd).toMatch(created);
    expect(pages.hull).toMatch(created);
  });
});
