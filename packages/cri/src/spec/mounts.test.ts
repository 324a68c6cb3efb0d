import { describe, expect, test } from "bun:test";
import { ContainerConfig, Mount, MountPropagation, NamespaceMode } from "@hull/api/gen/cri/v1/cri";
import type { PartialOf } from "@hull/api/rpc";
import fc from "fast-check";
import { imageOf, paths } from "./fixture.ts";
import { imageVolumeMounts, podFileMounts, resolveMounts } from "./mounts.ts";

const mount = (given: Partial<Mount>): Mount => Mount.fromPartial({ containerPath: "/in", hostPath: "/out", ...given });
const abilities = { recursiveReadOnly: true, mountLabel: "" };
const resolved = async (...mounts: Mount[]) => await resolveMounts(mounts, [], paths, abilities);
const { PROPAGATION_BIDIRECTIONAL, PROPAGATION_HOST_TO_CONTAINER } = MountPropagation;

test("options", async () => {
  const options = async (given: Partial<Mount>) => (await resolved(mount(given))).mounts[0]?.options?.join(" ");
  expect(await options({})).toBe("rbind rprivate rw");
  expect(await options({ readonly: true })).toBe("rbind rprivate ro");
  expect(await options({ readonly: true, recursiveReadOnly: true })).toBe("rbind rprivate rro");
  expect(await options({ mountOptions: ["noexec", "rnodev"] })).toBe("rbind rprivate rw noexec rnodev");
  expect(await options({ hostPath: "/shared/x", propagation: PROPAGATION_BIDIRECTIONAL })).toBe("rbind rshared rw");
  expect(await options({ hostPath: "/slave/x", propagation: PROPAGATION_HOST_TO_CONTAINER })).toBe("rbind rslave rw");
});

test("the root propagates as much as the most of its mounts", async () => {
  const slave = mount({ hostPath: "/shared", propagation: PROPAGATION_HOST_TO_CONTAINER });
  const shared = mount({ hostPath: "/shared", propagation: PROPAGATION_BIDIRECTIONAL });
  const of = async (...mounts: Mount[]) => (await resolved(...mounts)).rootfsPropagation;
  expect([await of(mount({})), await of(slave), await of(shared, slave)]).toEqual([undefined, "rslave", "rshared"]);
});

const refused: Readonly<Record<string, Partial<Mount>>> = {
  'path "/out" is mounted on "/" but it is not a shared mount': { propagation: PROPAGATION_BIDIRECTIONAL },
  'path "/slave" is mounted on "/slave" but it is not a shared mount': {
    hostPath: "/slave",
    propagation: PROPAGATION_BIDIRECTIONAL,
  },
  'path "/out" is mounted on "/" but it is not a shared or slave mount': { propagation: PROPAGATION_HOST_TO_CONTAINER },
  'recursive read-only mount conflicts with RW mount (hostPath="/out")': { recursiveReadOnly: true },
  'recursive read-only mount needs private propagation, got "PROPAGATION_BIDIRECTIONAL" (hostPath="/shared")': {
    readonly: true,
    recursiveReadOnly: true,
    hostPath: "/shared",
    propagation: PROPAGATION_BIDIRECTIONAL,
  },
  'mount option "rw" of "/in" is not supported': { mountOptions: ["rw"] },
};
for (const [why, given] of Object.entries(refused))
  test(`refused: ${why}`, () => expect(resolved(mount(given))).rejects.toThrow(why));

test("refused: what the runtime can't", () => {
  const wanted = mount({ readonly: true, recursiveReadOnly: true });
  const resolving = resolveMounts([wanted], [], paths, { ...abilities, recursiveReadOnly: false });
  return expect(resolving).rejects.toThrow(
    "RROUnsupported: runtime handler does not support recursive read-only mounts",
  );
});

test("ids, and labels where files have them", async () => {
  const labelled: string[] = [];
  const host = { ...paths, relabel: async (path: string, label: string) => void labelled.push(`${path} ${label}`) };
  const ids = [{ containerId: 0, hostId: 5, length: 9 }];
  const given = mount({ selinuxRelabel: true, uidMappings: ids, gidMappings: ids });
  const { mounts } = await resolveMounts([given], [], host, { ...abilities, mountLabel: "label" });
  expect(labelled).toEqual(["/out label"]);
  expect(mounts[0]?.uidMappings).toEqual([{ containerID: 0, hostID: 5, size: 9 }]);
  await resolveMounts([given], [], host, abilities);
  expect(labelled).toHaveLength(1);
});

test("a mount comes before those below it, whatever the order", async () => {
  const path = fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.join("/")}`);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(path, { maxLength: 8 }), async (places) => {
      const { mounts } = await resolved(...places.map((containerPath) => mount({ containerPath })));
      const order = mounts.map(({ destination }) => destination);
      expect(order.toSorted()).toEqual(places.toSorted());
      for (const [at, one] of order.entries())
        expect(order.slice(0, at).some((earlier) => earlier.startsWith(`${one}/`))).toBe(false);
    }),
  );
});

describe("what comes without asking", () => {
  const files = { hostname: "/p/hostname", hosts: "/p/hosts", resolvConf: "/p/resolv.conf", shm: "/p/shm" };
  const config = (given: PartialOf<typeof ContainerConfig>) => ContainerConfig.fromPartial(given);
  test("the pod's files, but where something else is mounted", () => {
    const of = (given: PartialOf<typeof ContainerConfig>) =>
      podFileMounts(config(given), files).map(({ containerPath, hostPath }) => `${containerPath} ${hostPath}`);
    expect(of({})).toEqual([
      "/etc/hostname /p/hostname",
      "/etc/hosts /p/hosts",
      "/etc/resolv.conf /p/resolv.conf",
      "/dev/shm /p/shm",
    ]);
    expect(of({ mounts: [{ containerPath: "/etc//hosts/" }, { containerPath: "/dev/shm" }] })).toHaveLength(2);
    const ipc = { namespaceOptions: { ipc: NamespaceMode.NODE } };
    expect(of({ linux: { securityContext: ipc } })).toContain("/dev/shm /dev/shm");
  });
  test("what isn't there is left out", () => expect(podFileMounts(config({}), {})).toEqual([]));
  test("volumes of the image, each in a directory of its own", () => {
    const image = imageOf({ volumes: ["/data", "relative", "/taken"] });
    const mounts = imageVolumeMounts(config({ mounts: [{ containerPath: "/taken/" }] }), image, "/root");
    expect(mounts.map(({ containerPath }) => containerPath)).toEqual(["/data", "/relative"]);
    expect(new Set(mounts.map(({ hostPath }) => hostPath)).size).toBe(2);
    for (const { hostPath } of mounts) expect(hostPath).toMatch(/^\/root\/volumes\/[0-9a-f]{64}$/);
  });
});
