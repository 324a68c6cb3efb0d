/**
 * `npm run quickstart`: from a fresh Debian machine to the output of a container. Installs what is missing, builds, starts a daemon on
 * folders of its own, makes an image from Debian's busybox, runs it, and takes the daemon and its folders away again.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { bun, ensureBuilt, ensureDebianPackages, ensureNpmPackages, fail, project, runtimePackages } from "./setup.mjs";

const image = "docker.io/library/busybox:latest";
const archive = join(project, "dist", "busybox.tar");

if (process.platform !== "linux")
  fail("containers are a matter of the Linux kernel: run this on Linux, in a virtual machine for instance.");
if (process.getuid() !== 0) fail("running containers takes root. Say:\n\n    sudo npm run quickstart");

const begin = performance.now();
let number = 0;

/** Shows a step and how long it took; gives what it gives. */
function step(what, work) {
  const started = performance.now();
  console.log(`\n[${++number}/6] ${what}`);
  const result = work();
  console.log(`      done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

step("install what is missing (npm packages, runc, crun, busybox)", () => {
  ensureNpmPackages();
  ensureDebianPackages(runtimePackages);
});
const hull = step("build dist/hull", ensureBuilt);
const folder = mkdtempSync(join(tmpdir(), "hull-quickstart-"));
const root = join(folder, "root");
const place = ["--root", root, "--state", join(folder, "state")];
let stopped = false;
process.once("exit", cleanUp);

step("make an image from Debian's busybox", () => call(bun, [join(project, "scripts", "image.ts"), archive, image]));
step("load it; hull starts its daemon by itself", () => call(hull, [...place, "load", "-i", archive]));
step("run a container", () => {
  const script =
    'echo "Hello from a container of hull."; echo "I am process $$ of $(hostname), on $(uname -sr)."; ls /';
  console.log(`\n$ hull run --rm --hostname quickstart busybox sh -c '…'\n`);
  call(hull, [...place, "run", "--rm", "--hostname", "quickstart", "busybox", "sh", "-c", script]);
  console.log("");
});
step("stop the daemon and remove its folders", cleanUp);

const command = relative(process.cwd(), hull) || hull;
console.log(`
It works (${((performance.now() - begin) / 1000).toFixed(0)} s). Nothing is left running. Go on with:

    ${command} load -i ${relative(process.cwd(), archive)}      # into the default place, /var/lib/hull; starts the daemon
    ${command} run -it --rm busybox
    ${command} run -d --name web busybox sleep 600
    ${command} ps
    ${command} run -it --rm alpine                 # from the registry, where one can be reached
    ctr --address /run/hull/hull.sock images ls    # containerd's own client, on the same daemon
    ${command} daemon stop                         # ends the daemon; containers go on
    ${command} --help

To have it as "hull": install -m 755 ${command} /usr/local/bin/hull
`);

/** Runs a program with its output shown. */
function call(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"], cwd: project });
  if (!error && status === 0) return;
  showLog();
  fail(
    `"${program} ${args.join(" ")}" ${error ? `could not be run: ${error.message}` : `ended with status ${status}`}`,
  );
}

function showLog() {
  try {
    const lines = readFileSync(join(folder, "state", "daemon.log"), "utf8")
      .trim()
      .split("\n")
      .slice(-20);
    process.stderr.write(`\nThe end of the daemon's log:\n${lines.join("\n")}\n`);
  } catch {
    // No daemon was started yet.
  }
}

/** Ends the daemon, if it runs, and removes its folders. */
function cleanUp() {
  if (stopped) return;
  stopped = true;
  // Without a daemon this fails, which is as good.
  spawnSync(hull, ["daemon", "stop", "--root", root], { stdio: "ignore" });
  rmSync(folder, { recursive: true, force: true });
}
