import type { HandlerConfig } from "@hull/cri/config";
import { isOwnRuntime, shimBinaryName } from "@hull/engine/runtime/shim-binary";
import { oldCrunFeatures } from "@hull/shim/crun-features";
import { type Check, type Finding, fail, ok, warn } from "../finding.ts";
import type { Machine } from "../machine.ts";
import type { Setup } from "../setup.ts";
import { isOlder } from "../versions.ts";

/** The oldest that hull knows the features of: runc's first that tells them, and crun's first with recursive read-only mounts. */
const oldest: Readonly<Record<string, string>> = { runc: "1.1.0", crun: "1.4" };

const ociRuntimes: Check = async (machine, setup) => {
  const named = Object.entries(setup.cri.runtime.containerd.runtimes);
  const findings: Finding[] = [];
  for (const [name, handler] of named) {
    const isDefault = name === setup.cri.runtime.containerd.default_runtime_name;
    findings.push(...(await ofHandler(machine, setup, name, handler, isDefault)));
  }
  return findings;
};

async function ofHandler(
  machine: Machine,
  setup: Setup,
  name: string,
  handler: HandlerConfig,
  isDefault: boolean,
): Promise<Finding[]> {
  const what = `handler "${name}"`;
  const missing = isDefault ? fail : warn;
  if (handler.runtime_path !== "" || !isOwnRuntime(handler.runtime_type)) {
    const shim = handler.runtime_path || shimPath(machine, handler.runtime_type);
    if (shim !== undefined && machine.exists(shim)) return [ok(what, `shim ${shim}`)];
    const wanted = handler.runtime_path || shimBinaryName(handler.runtime_type);
    return [missing(what, `its shim ${wanted} is not there`, "install it, or name its path by runtime_path")];
  }
  const { BinaryName } = handler.options;
  const asked = typeof BinaryName === "string" && BinaryName !== "" ? BinaryName : setup.ociRuntime;
  const program = asked === "" ? defaultProgram(machine) : asked.startsWith("/") ? asked : machine.find(asked);
  if (program === undefined || !machine.exists(program)) {
    const detail = asked === "" ? "neither runc nor crun is installed" : `${asked} is not there`;
    return [
      missing(what, detail, asked === "" ? "install runc or crun" : "install it, or set BinaryName in its options"),
    ];
  }
  return [await ofProgram(machine, what, program, missing), await features(machine, what, program)];
}

function shimPath({ find }: Machine, type: string): string | undefined {
  return type.startsWith("/") ? type : find(shimBinaryName(type));
}

/** As the daemon chooses: crun where it works. */
function defaultProgram({ find, cgroups }: Machine): string | undefined {
  const [crun, runc] = [find("crun"), find("runc")];
  return cgroups === "hybrid" ? (runc ?? crun) : (crun ?? runc);
}

async function ofProgram(machine: Machine, what: string, program: string, missing: typeof fail): Promise<Finding> {
  const { status, output } = await machine.run([program, "--version"]);
  const [, kind = "", version = ""] = /\b(runc|crun|youki) version (\S+)/.exec(output) ?? [];
  if (status !== 0) return missing(what, `${program} doesn't run: ${firstLine(output)}`, "install it again");
  if (kind === "crun" && machine.cgroups === "hybrid") {
    return missing(
      what,
      `${program} refuses control groups of version 1 beside 2, as they are here`,
      "install runc, or boot with version 2 alone",
    );
  }
  const wanted = oldest[kind];
  if (wanted !== undefined && isOlder(version, wanted))
    return warn(
      what,
      `${program}, ${kind} ${version}: too old to tell what it can do`,
      `install ${kind} ${wanted} or newer`,
    );
  return ok(what, kind === "" ? program : `${program}, ${kind} ${version}`);
}

/** OCI runtime spec, features.md. */
async function features(machine: Machine, what: string, program: string): Promise<Finding> {
  const name = `${what}, features`;
  const { status, output } = await machine.run([program, "features"]);
  const told: Features | undefined =
    status === 0 ? parsed(output) : oldCrunFeatures((await machine.run([program, "--version"])).output);
  if (told === undefined)
    return warn(
      name,
      "it doesn't tell them: the kubelet takes it for one without user namespaces",
      "install a newer one",
    );
  const lacks: string[] = [];
  if (told.linux?.seccomp?.enabled !== true) lacks.push("seccomp (containers may make every system call)");
  // The owners of their mounts hull maps itself, where the runtime can't.
  if (told.linux?.namespaces?.includes("user") !== true) lacks.push("user namespaces (pods with hostUsers: false)");
  if (told.mountOptions?.includes("rro") !== true) lacks.push("recursive read-only mounts");
  if (lacks.length === 0) return ok(name, "seccomp, user namespaces, recursive read-only mounts");
  return warn(name, `without ${lacks.join(", ")}`, "install a newer one");
}

interface Features {
  readonly mountOptions?: readonly string[];
  readonly linux?: {
    readonly seccomp?: { readonly enabled?: boolean };
    readonly namespaces?: readonly string[];
  };
}

function parsed(json: string): Features | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

const firstLine = (text: string): string => text.trim().split("\n")[0] ?? "";

const checkpoints: Check = async (machine, { cri }) => {
  if (!cri.runtime.enable_criu) return ok("checkpoints", "switched off (enable_criu)");
  const criu = machine.find("criu");
  const mend = "install criu 3.16 or newer, or set enable_criu = false";
  if (criu === undefined) return warn("checkpoints", "criu is not installed: containers can't be checkpointed", mend);
  const { output } = await machine.run([criu, "--version"]);
  const version = /Version: (\S+)/.exec(output)?.[1] ?? "";
  if (version === "" || isOlder(version, "3.16")) return warn("checkpoints", `criu ${version} is too old`, mend);
  const check = await machine.run([criu, "check"]);
  if (check.status === 0) return ok("checkpoints", `criu ${version}`);
  const reason = check.output.split("\n").find((line) => /^Error/.test(line)) ?? firstLine(check.output);
  const detail = `criu ${version} doesn't work on this kernel: ${reason.trim()}`;
  return warn("checkpoints", detail, "install a newer criu, or set enable_criu = false");
};

export const runtimeChecks: readonly Check[] = [ociRuntimes, checkpoints];
