/** What the shim reads and writes in a bundle, the directory of one container. Layout: docs of containerd's runtime v2. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Options } from "@hull/api/gen/containerd/runc/v1/options";
import { invalidArgument } from "@hull/errors";
import type { RestoredSpec } from "./criu-options.ts";
import type { SpecPart as ForeseenSpec } from "./foresee.ts";
import type { MappedSpec } from "./mapped-mounts.ts";

// Known to the runtime, not yet to its types (ECMA-262 proposal "JSON.parse source text access").
const { rawJSON: rawJson } = JSON as JSON & { rawJSON(text: string): unknown };

/** Where containerd keeps the states of runc's containers, below it one directory per namespace. */
const defaultRuntimeRoot = "/run/containerd/runc";

/** How the container's OCI runtime is called. */
export interface RuntimeChoice {
  binary: string;
  /** with the namespace */
  root: string;
  options: Options;
}

/** Paths in a bundle. */
export const bundlePaths = (bundle: string) => ({
  config: join(bundle, "config.json"),
  rootfs: join(bundle, "rootfs"),
  log: join(bundle, "log.json"),
  initPid: join(bundle, "init.pid"),
  runtime: join(bundle, "runtime"),
  options: join(bundle, "options.json"),
  work: join(bundle, "work"),
  criuWork: join(bundle, "work", "criu-work"),
  criuLog: join(bundle, "criu-dump.log"),
  criuOptions: join(bundle, "criu.conf"),
  execPid: (execId: string) => join(bundle, `${execId}.pid`),
  execSpec: (execId: string) => join(bundle, `${execId}-process.json`),
});

/** Type names that the runtime options come under, the newer first. */
const optionTypes = ["containerd.runc.v1.Options", "containerd.linux.runc.CreateOptions"];

/** The runtime that a request's options choose. @throws InvalidArgument for options of another type */
export function chooseRuntime(
  namespace: string,
  any: { typeUrl: string; value: Uint8Array } | undefined,
): RuntimeChoice {
  const typeName = any?.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1) ?? "";
  if (any !== undefined && typeName !== "" && !optionTypes.includes(typeName)) {
    throw invalidArgument(`runtime options of type "${any.typeUrl}" are not runc's: give "${optionTypes[0]}"`);
  }
  return runtimeOf(namespace, any === undefined ? Options.fromPartial({}) : Options.decode(any.value));
}

function runtimeOf(namespace: string, options: Options): RuntimeChoice {
  const binary = options.binaryName === "" ? (Bun.which("runc") ?? Bun.which("crun") ?? "runc") : options.binaryName;
  return { binary, root: join(options.root === "" ? defaultRuntimeRoot : options.root, namespace), options };
}

/** Writes the choice down for `delete`, which runs when nobody is left who knows. */
export function recordRuntime(bundle: string, { binary, options }: RuntimeChoice): void {
  const paths = bundlePaths(bundle);
  writeFileSync(paths.runtime, binary);
  const json = { binary_name: binary, root: options.root, systemd_cgroup: options.systemdCgroup };
  writeFileSync(paths.options, JSON.stringify(json));
}

/** The choice as recorded; what is missing is at its default. */
export function recordedRuntime(bundle: string, namespace: string): RuntimeChoice {
  const paths = bundlePaths(bundle);
  const options = Options.fromPartial({});
  try {
    const json: unknown = JSON.parse(readFileSync(paths.options, "utf8"));
    if (typeof json === "object" && json !== null) {
      if ("root" in json && typeof json.root === "string") options.root = json.root;
      if ("systemd_cgroup" in json) options.systemdCgroup = json.systemd_cgroup === true;
    }
    options.binaryName = readFileSync(paths.runtime, "utf8").trim();
  } catch {
    // Nothing recorded: the container was never made, or by a shim that keeps no record.
  }
  return runtimeOf(namespace, options);
}

/** The bundle's runtime spec, as far as the shim looks at it; empty if it can't be read, which the OCI runtime then says. */
export function readSpec(bundle: string): Spec {
  try {
    return JSON.parse(readFileSync(bundlePaths(bundle).config, "utf8")) as Spec;
  } catch {
    return {};
  }
}

/** Has the OCI runtime find a spec in the bundle of which these parts are others. Disposing puts the bundle's own back. */
export function exchangeSpec(bundle: string, parts: Pick<Spec, "mounts" | "annotations">): Disposable {
  const { config } = bundlePaths(bundle);
  const own = readFileSync(config, "utf8");
  writeFileSync(config, JSON.stringify({ ...parseExactly(own), ...parts }));
  return { [Symbol.dispose]: () => writeFileSync(config, own) };
}

/** JSON whose numbers are written again as they are here: limits and system call arguments have 64 bits. */
function parseExactly(text: string): object {
  const keep = (_key: string, value: unknown, context: { source?: string }): unknown =>
    typeof value === "number" && context.source !== undefined ? rawJson(context.source) : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown) as object;
}

/** True if the container's processes see those of others: the kernel won't end them together with the first. */
export function sharesPidNamespace({ linux }: Spec): boolean {
  return !(linux?.namespaces ?? []).some(({ type, path }) => type === "pid" && (path ?? "") === "");
}

/** True if starting and deleting the container makes the runtime run programs of the spec's. */
export function hasHooks({ hooks }: Spec): boolean {
  return Object.values(hooks ?? {}).some((list) => (list ?? []).length > 0);
}

/** Parts of the OCI runtime spec. */
export interface Spec extends ForeseenSpec, Omit<MappedSpec, "mounts" | "linux"> {
  linux?: MappedSpec["linux"] & RestoredSpec["linux"];
  mounts?: ForeseenSpec["mounts"] & MappedSpec["mounts"];
  hooks?: Readonly<Record<string, readonly unknown[] | null>>;
  annotations?: Readonly<Record<string, string>>;
}
