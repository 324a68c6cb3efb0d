/** The CRI's one table of version 2 of the format as the three that it is since. */

import { isTable } from "@hull/engine/plugin/config";

type Table = Readonly<Record<string, unknown>>;

const service = "io.containerd.grpc.v1.cri";
const images = "io.containerd.cri.v1.images";
const runtime = "io.containerd.cri.v1.runtime";

/** What stays the service's. */
const serviceKeys: ReadonlySet<string> = new Set([
  "disable_tcp_service",
  "stream_server_address",
  "stream_server_port",
  "stream_idle_timeout",
  "enable_tls_streaming",
  "x509_key_pair_streaming",
]);
/** What is the images'. */
const imageKeys: ReadonlySet<string> = new Set([
  "registry",
  "image_decryption",
  "max_concurrent_downloads",
  "image_pull_progress_timeout",
  "image_pull_with_sync_fs",
  "stats_collect_period",
]);
/** What is the images', of the table `containerd`. */
const unpackKeys: ReadonlySet<string> = new Set([
  "snapshotter",
  "disable_snapshot_annotations",
  "discard_unpacked_layers",
]);

/** The plugins' tables of a file with the CRI's divided. What stands in one of the three already counts. */
export function dividedCri(plugins: Table): Table {
  const [name] = [service, "cri"].filter((name) => isTable(plugins[name]));
  const old = name === undefined ? undefined : (plugins[name] as Table);
  if (name === undefined || old === undefined || Object.keys(old).every((key) => serviceKeys.has(key))) return plugins;
  const { [name]: _, ...others } = plugins;
  const { containerd, cni, sandbox_image, ...rest } = old;
  const unpacking = isTable(containerd) ? containerd : {};
  const take = (from: Table, wanted: (key: string) => boolean): Table =>
    Object.fromEntries(Object.entries(from).filter(([key]) => wanted(key)));
  return {
    ...others,
    [service]: take(rest, (key) => serviceKeys.has(key)),
    [images]: {
      ...take(rest, (key) => imageKeys.has(key)),
      ...take(unpacking, (key) => unpackKeys.has(key)),
      ...(sandbox_image === undefined ? {} : { pinned_images: { sandbox: sandbox_image } }),
      ...(others[images] as Table | undefined),
    },
    [runtime]: {
      ...take(rest, (key) => !serviceKeys.has(key) && !imageKeys.has(key)),
      ...(containerd === undefined ? {} : { containerd: isTable(containerd) ? runtimesOf(containerd) : containerd }),
      ...(cni === undefined ? {} : { cni: isTable(cni) ? networksOf(cni) : cni }),
      ...(others[runtime] as Table | undefined),
    },
  };
}

function runtimesOf(table: Table): Table {
  const rest = Object.fromEntries(Object.entries(table).filter(([key]) => !unpackKeys.has(key)));
  if (!isTable(rest.runtimes)) return rest;
  const runtimes = Object.entries(rest.runtimes).map(([name, handler]) => {
    if (!isTable(handler) || handler.sandbox_mode === undefined) return [name, handler];
    const { sandbox_mode: sandboxer, ...others } = handler;
    return [name, { ...(sandboxer === "" ? {} : { sandboxer }), ...others }];
  });
  return { ...rest, runtimes: Object.fromEntries(runtimes) };
}

function networksOf({ bin_dir, ...rest }: Table): Table {
  return bin_dir === undefined || rest.bin_dirs !== undefined ? rest : { ...rest, bin_dirs: [bin_dir] };
}
