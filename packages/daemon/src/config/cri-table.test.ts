import { expect, test } from "bun:test";
import { dividedCri } from "./cri-table.ts";

test("the one table of version 2 is divided among the plugins", () => {
  const cri = {
    sandbox_image: "pause:1",
    stream_server_port: "0",
    enable_selinux: true,
    max_concurrent_downloads: 5,
    registry: { config_path: "/c" },
    cni: { bin_dir: "/bin", conf_dir: "/conf" },
    containerd: {
      snapshotter: "native",
      default_runtime_name: "crun",
      runtimes: { crun: { runtime_type: "io.containerd.runc.v2", sandbox_mode: "shim" } },
    },
  };
  const divided = {
    other: {},
    "io.containerd.grpc.v1.cri": { stream_server_port: "0" },
    "io.containerd.cri.v1.images": {
      registry: { config_path: "/c" },
      max_concurrent_downloads: 5,
      snapshotter: "native",
      pinned_images: { sandbox: "pause:1" },
    },
    "io.containerd.cri.v1.runtime": {
      enable_selinux: true,
      containerd: {
        default_runtime_name: "crun",
        runtimes: { crun: { runtime_type: "io.containerd.runc.v2", sandboxer: "shim" } },
      },
      cni: { bin_dirs: ["/bin"], conf_dir: "/conf" },
    },
  };
  for (const name of ["io.containerd.grpc.v1.cri", "cri"])
    expect(dividedCri({ other: {}, [name]: cri })).toEqual(divided);
  expect(dividedCri(divided)).toBe(divided);
});
