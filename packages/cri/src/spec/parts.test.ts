import { describe, expect, test } from "bun:test";
import {
  LinuxContainerResources,
  NamespaceMode,
  SecurityProfile_ProfileType,
  Signal,
  UserNamespace,
} from "@hull/api/gen/cri/v1/cri";
import fc from "fast-check";
import { defaultCriConfig } from "../config.ts";
import { passedAnnotations } from "./annotations.ts";
import { buildContainerSpec } from "./container.ts";
import { facts, inputOf } from "./fixture.ts";
import { idMappingsOf, sharedIdMappings } from "./namespaces.ts";
import { podSysctls } from "./pause.ts";
import { wantedAppArmor, wantedSeccomp } from "./profiles.ts";
import {
  cgroupsPath,
  linuxResources,
  mergeResources,
  oomScore,
  resourcesOfSpec,
  withUpdatedResources,
} from "./resources.ts";
import { containerPolicy, SelinuxLabeler } from "./selinux.ts";
import { stopSignalName, stopSignalOf } from "./stop-signal.ts";
import { needsUserFiles, requestedUser, specUser } from "./user.ts";

const settings = defaultCriConfig().runtime;

describe("users", () => {
  const asked = {
    runAsUsername: "",
    runAsUser: undefined,
    runAsGroup: undefined,
    supplementalGroups: [],
    supplementalGroupsPolicy: 0 as const,
  };
  const files = {
    passwd: "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
    group: "root:x:0:\nweb:x:34:web\nwww:x:40:web,root\nlog:x:41:web\n",
  };
  test("groups by policy", () => {
    const of = (policy: 0 | 1, user = "web") =>
      specUser(
        { ...asked, runAsUsername: user, supplementalGroups: [7n], supplementalGroupsPolicy: policy },
        "",
        files,
      );
    expect(of(0)).toEqual({ uid: 33, gid: 34, additionalGids: [7, 34, 40, 41] });
    expect(of(1)).toEqual({ uid: 33, gid: 34, additionalGids: [7, 34] });
    expect(specUser(undefined, "", files)).toEqual({ uid: 0, gid: 0, additionalGids: [0, 40] });
    expect(specUser({ ...asked, supplementalGroupsPolicy: 1 }, "", files)).toEqual({ uid: 0, gid: 0 });
  });
  test("the image's, unless the request names one", () => {
    expect(specUser(asked, "web:41", files)).toEqual({ uid: 33, gid: 41, additionalGids: [40, 41] });
    expect(specUser({ ...asked, runAsUser: { value: 0n } }, "web", files)).toMatchObject({ uid: 0, gid: 0 });
  });
  test("which files they need", () => {
    const strict = { ...asked, supplementalGroupsPolicy: 1 as const };
    expect(needsUserFiles(asked, "")).toBe(true);
    expect(needsUserFiles(strict, "")).toBe(false);
    expect(needsUserFiles(strict, "web")).toBe(true);
    expect(needsUserFiles({ ...strict, runAsUser: { value: 1n }, runAsGroup: { value: 1n } }, "web")).toBe(false);
  });
  test("what can't be", () => {
    expect(() => requestedUser({ ...asked, runAsGroup: { value: 3n } })).toThrow(
      'user group "3" is specified without user',
    );
    expect(() => specUser({ ...asked, supplementalGroups: [-1n] }, "", files)).toThrow(
      "supplemental group -1 is out of range",
    );
    expect(() => specUser({ ...asked, supplementalGroupsPolicy: 7 as 0 }, "", files)).toThrow(
      "SupplementalGroupsPolicy=7",
    );
    expect(() => specUser(asked, "web:nobody", files)).toThrow("no groups found");
  });
  test("any files and any name give a user, or an error", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (user, passwd, group) => {
        try {
          const { uid, gid, additionalGids = [] } = specUser(asked, user, { passwd, group });
          for (const id of [uid, gid, ...additionalGids]) expect(Number.isSafeInteger(id) && id >= 0).toBe(true);
        } catch (error) {
          expect(error).toHaveProperty("code", "unknown");
        }
      }),
    );
  });
});

describe("user namespaces", () => {
  const range = (containerId: number, hostId: number, length: number) => ({ containerId, hostId, length });
  const of = (mode: NamespaceMode, uids: object[], gids = uids) => UserNamespace.fromPartial({ mode, uids, gids });
  const good = of(NamespaceMode.POD, [range(0, 1000, 10)]);
  test("what can be", () => {
    expect(idMappingsOf(undefined)).toBeUndefined();
    expect(idMappingsOf(of(NamespaceMode.NODE, []))).toBeUndefined();
    expect(idMappingsOf(good)?.uids).toEqual([{ containerID: 0, hostID: 1000, size: 10 }]);
    expect(sharedIdMappings(good, good)).toEqual(idMappingsOf(good));
  });
  const wrong: Readonly<Record<string, UserNamespace>> = {
    'unsupported user namespace mode: "CONTAINER"': of(NamespaceMode.CONTAINER, []),
    'unsupported user namespace mode: "TARGET"': of(NamespaceMode.TARGET, []),
    "only one mapping line supported, got 2 mapping lines": of(NamespaceMode.POD, [range(0, 1, 1), range(1, 2, 1)]),
    "invalid mapping length: 0": of(NamespaceMode.POD, [range(0, 1, 0)]),
    "without UID and GID mappings": of(NamespaceMode.POD, []),
    "Got 1 UID mappings and 1 GID mappings": of(NamespaceMode.NODE, [range(0, 1, 1)]),
    "must begin with id 0": of(NamespaceMode.POD, [range(1, 1000, 10)]),
    "must be of one length": of(NamespaceMode.POD, [range(0, 1000, 10)], [range(0, 1000, 11)]),
  };
  for (const [why, options] of Object.entries(wrong))
    test(`refused: ${why}`, () => expect(() => idMappingsOf(options)).toThrow(why));
});

describe("resources", () => {
  const asked = (given: object) => LinuxContainerResources.fromPartial(given);
  test("memory without swap, unless it is asked for or can't be limited", () => {
    const limit = asked({ memoryLimitInBytes: 5n });
    expect(linuxResources(limit, settings, facts).memory).toEqual({ limit: 5, swap: 5 });
    expect(linuxResources(limit, settings, { ...facts, swapController: false }).memory).toEqual({ limit: 5 });
    expect(linuxResources(asked({ memorySwapLimitInBytes: -1n }), settings, facts).memory).toEqual({ swap: -1 });
  });
  test("what is beyond JSON's integers stays below", () => {
    const { memory } = linuxResources(asked({ memoryLimitInBytes: 2n ** 63n - 1n }), settings, facts);
    expect(JSON.stringify(memory)).toBe('{"limit":9007199254740991,"swap":9007199254740991}');
  });
  test("huge pages, by the settings", () => {
    const limits = asked({ hugepageLimits: [{ pageSize: "2MB", limit: 4n }] });
    const on = { ...settings, disable_hugetlb_controller: false };
    const missing = { ...facts, hugetlbController: false };
    expect(linuxResources(limits, settings, facts).hugepageLimits).toBeUndefined();
    expect(linuxResources(limits, on, facts).hugepageLimits).toEqual([{ pageSize: "2MB", limit: 4 }]);
    expect(linuxResources(limits, on, missing).hugepageLimits).toBeUndefined();
    expect(() => linuxResources(limits, { ...on, tolerate_missing_hugetlb_controller: false }, missing)).toThrow(
      "hugetlb cgroup controller is missing",
    );
  });
  test("an update changes what it has, and statuses show it", () => {
    const spec = buildContainerSpec(
      inputOf({ linux: { resources: { cpuShares: 2n, memoryLimitInBytes: 7n, oomScoreAdj: 3n } } }),
    );
    const updated = withUpdatedResources(spec, asked({ cpuShares: 9n, unified: { a: "b" } }), settings, facts);
    expect(resourcesOfSpec(updated)).toEqual(
      asked({
        cpuShares: 9n,
        memoryLimitInBytes: 7n,
        memorySwapLimitInBytes: 7n,
        oomScoreAdj: 3n,
        unified: { a: "b" },
      }),
    );
    expect(updated.linux.resources?.devices).toEqual(spec.linux.resources?.devices ?? []);
    expect(withUpdatedResources(spec, undefined, settings, facts)).toBe(spec);
  });
  test("limits of the same pages replace each other", () => {
    const page = (limit: number) => ({ hugepageLimits: [{ pageSize: "2MB", limit }] });
    expect(mergeResources(page(1), page(2)).hugepageLimits).toEqual(page(2).hugepageLimits);
  });
  test("scores don't go below what is allowed", () => {
    const host = (mayLower: boolean) => ({ oomScore: { own: 100, mayLower } });
    const free = { restrict_oom_score_adj: false };
    expect(oomScore(-998, free, host(true))).toBe(-998);
    expect(oomScore(-998, free, host(false))).toBe(100);
    expect(oomScore(-998, { restrict_oom_score_adj: true }, host(true))).toBe(100);
    expect(oomScore(500, free, host(false))).toBe(500);
  });
  test("groups by driver", () => {
    expect(cgroupsPath("/kubepods/pod1", "c")).toBe("/kubepods/pod1/c");
    expect(cgroupsPath("/kubepods.slice/kubepods-pod1.slice", "c")).toBe("kubepods-pod1.slice:cri-containerd:c");
    expect(cgroupsPath("/", "c")).toBe("/c");
  });
});

describe("annotations", () => {
  const passes = (pattern: string, name: string) => Object.hasOwn(passedAnnotations({ [name]: "" }, [pattern]), name);
  test("patterns as Go's", () => {
    expect(passes("a.*", "a.b")).toBe(true);
    expect(passes("a.*", "a.b/c")).toBe(false);
    expect(passes("*/*", "a.b/c")).toBe(true);
    expect(passes("[^a-c]x", "dx")).toBe(true);
    expect(passes("[^a-c]x", "ax")).toBe(false);
    expect(passes("\\*", "*")).toBe(true);
    expect(passes("\\*", "a")).toBe(false);
    expect(["[", "a\\", "[b-a]"].map((pattern) => passes(pattern, "a"))).toEqual([false, false, false]);
  });
  test("a pattern without specials means itself, and none crashes", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (pattern, name) => {
        const passed = passes(pattern, name);
        if (!/[*?[\\]/.test(pattern)) expect(passed).toBe(pattern === name);
      }),
    );
  });
});

describe("profiles", () => {
  const none = {
    privileged: false,
    seccomp: undefined,
    seccompProfilePath: "",
    apparmor: undefined,
    apparmorProfile: "",
  };
  const { RuntimeDefault, Localhost } = SecurityProfile_ProfileType;
  const profile = (profileType: SecurityProfile_ProfileType, localhostRef = "") => ({ profileType, localhostRef });
  test("seccomp", () => {
    const of = (asked: Partial<typeof none> & object, unset = "", supported = true) =>
      wantedSeccomp({ ...none, ...asked }, { unset_seccomp_profile: unset }, supported);
    expect(of({})).toBe("unconfined");
    expect(of({}, "runtime/default")).toBe("default");
    expect(of({ seccompProfilePath: "localhost//a" })).toEqual({ name: "/a" });
    expect(wantedSeccomp({ ...none, seccomp: profile(Localhost, "localhost//a") }, settings, true)).toEqual({
      name: "/a",
    });
    expect(wantedSeccomp({ ...none, seccomp: profile(RuntimeDefault), privileged: true }, settings, true)).toBe(
      "unconfined",
    );
    expect(() => of({ seccompProfilePath: "docker/default" }, "", false)).toThrow("seccomp is not supported");
  });
  test("AppArmor", () => {
    expect(wantedAppArmor(none, true)).toBe("default");
    expect(wantedAppArmor({ ...none, privileged: true }, true)).toBe("unconfined");
    expect(
      wantedAppArmor({ ...none, apparmorProfile: "localhost/old", apparmor: profile(Localhost, "new") }, true),
    ).toEqual({
      name: "new",
    });
    expect(wantedAppArmor(none, false)).toBe("unconfined");
    expect(() => wantedAppArmor({ ...none, apparmorProfile: "runtime/default" }, false)).toThrow(
      "apparmor is not supported",
    );
  });
});

describe("SELinux", () => {
  const policy = { process: "system_u:system_r:container_t:s0", file: "system_u:object_r:container_file_t:s0" };
  const option = (given: object) => ({ user: "", role: "", type: "", level: "", ...given });
  test("without it there are no labels, but levels are checked", () => {
    const labeler = new SelinuxLabeler(undefined, 0);
    expect(labeler.label(option({ type: "x" }))).toEqual({ process: "", mount: "" });
    expect(() => labeler.label(option({ level: "s0:c1,x" }))).toThrow(
      "the format of 'level' \"s0:c1,x\" is not correct",
    );
  });
  test("pairs of categories of a pod's own, until none is left", () => {
    const labeler = new SelinuxLabeler(policy, 3);
    const labels = [1, 2, 3].map(() => labeler.label(undefined));
    expect(new Set(labels.map(({ process }) => process)).size).toBe(3);
    expect(() => labeler.label(undefined)).toThrow("all SELinux categories are in use");
    labeler.release(labels[0]?.process ?? "");
    expect(labeler.label(undefined).process).toBe(labels[0]?.process ?? "");
  });
  test("containers have their pod's, unless they ask", () => {
    const labeler = new SelinuxLabeler(policy, 1024);
    const pod = labeler.label(undefined);
    expect(labeler.label(undefined, pod.process)).toEqual(pod);
    expect(labeler.label(option({ type: "spc_t", level: "s0:c1,c2" }), pod.process)).toEqual({
      process: "system_u:system_r:spc_t:s0:c1,c2",
      mount: "system_u:object_r:container_file_t:s0:c1,c2",
    });
  });
  test("files of a pod's containers have the pod's user", () => {
    const labeler = new SelinuxLabeler(policy, 1024);
    const pod = labeler.label(option({ user: "staff_u", level: "s0:c1,c2" }));
    expect(pod.mount).toBe("staff_u:object_r:container_file_t:s0:c1,c2");
    expect(labeler.label(undefined, pod.process)).toEqual(pod);
  });
  test("the policy of containers goes before what the host's says of them", () => {
    const files: Record<string, string> = { "/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n" };
    const found = () => containerPolicy((path) => files[path]);
    expect(found()).toBeUndefined();
    files["/etc/selinux/targeted/contexts/lxc_contexts"] = 'process = "a:b:lxc_t:s0"\nfile = "a:c:lxc_file_t:s0"\n';
    expect(found()).toEqual({ process: "a:b:lxc_t:s0", file: "a:c:lxc_file_t:s0" });
    files["/usr/share/containers/selinux/contexts"] = `process = "${policy.process}"\nfile = "${policy.file}"\n`;
    expect(found()).toEqual(policy);
  });
});

test("stop signals, there and back", () => {
  expect(stopSignalName(Signal.SIGNAL_SIGRTMINPLUS3)).toBe("SIGRTMIN+3");
  expect(stopSignalName(Signal.SIGNAL_RUNTIME_DEFAULT)).toBe("");
  expect(() => stopSignalName(999 as Signal)).toThrow("unknown CRI stop signal 999");
  expect(stopSignalOf("SIGRTMAX-2")).toBe(Signal.SIGNAL_SIGRTMAXMINUS2);
  expect(stopSignalOf("15")).toBe(Signal.SIGNAL_RUNTIME_DEFAULT);
});

test("kernel parameters of pods", () => {
  const pod = (securityContext: object, sysctls = {}) => inputOf({}, { linux: { securityContext, sysctls } }).podConfig;
  const both = { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" };
  expect(podSysctls(pod({}), settings)).toEqual(both);
  expect(podSysctls(pod({}, { "net.ipv4.ip_unprivileged_port_start": "9" }), settings)).toEqual({
    ...both,
    "net.ipv4.ip_unprivileged_port_start": "9",
  });
  expect(podSysctls(pod({ namespaceOptions: { network: NamespaceMode.NODE } }), settings)).toEqual({});
});
