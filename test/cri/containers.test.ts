/** Containers: their lives, statuses, lists and logs, beside the real containerd. */
import { renameSync } from "node:fs";
import { ContainerState } from "@hull/api/gen/cri/v1/cri";
import { type NewContainer, scriptContainer } from "../support/cri.ts";
import { type CriPair, type CriServer, comparedCri } from "./pair.ts";

const unknownId = "fedcba9876543210".repeat(4);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** What containerd tells of a container since 2.2, which is newer than what tests may compare with. */
function told(answer: unknown): unknown {
  if (!isRecord(answer)) return answer;
  if (isRecord(answer.status)) {
    const user = { linux: { uid: "0n", gid: "0n", supplementalGroups: ["0n"] } };
    return { ...answer, status: { ...answer.status, user, imageId: answer.status.imageRef, stopSignal: 23 } };
  }
  const { containers, imageRef: imageId } = answer;
  return Array.isArray(containers) ? { containers: containers.map(told) } : { ...answer, imageId };
}

const status =
  (name: string) =>
  ({ runtime, id }: CriServer) =>
    runtime.containerStatus({ containerId: id(name) });
const stop =
  (name: string, seconds: number) =>
  ({ runtime, id }: CriServer) =>
    runtime.stopContainer({ containerId: id(name), timeout: BigInt(seconds) });
const remove =
  (name: string) =>
  ({ runtime, id }: CriServer) =>
    runtime.removeContainer({ containerId: id(name) });

/** A pod "pod" with a container that has come to its end, or just runs. */
async function started({ each }: CriPair, ...configs: NewContainer[]): Promise<void> {
  await each(async (server) => {
    await server.runPod("pod");
    for (const config of configs) {
      await server.create("pod", config);
      await server.start(config.metadata?.name ?? "");
    }
  });
}

comparedCri("containers", (test) => {
  test("one from its creation to its removal", async ({ same, each }) => {
    await each((s) => s.runPod("pod"));
    const config = scriptContainer("work", 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done', {
      labels: { role: "worker" },
      annotations: { "example.com/note": "kept" },
      envs: [{ key: "A", value: Buffer.from("b") }],
      workingDir: "/home",
    });
    await same("create", (s) => s.create("pod", config));
    await same("status, created", status("work"), { own: told });
    await same("list, created", ({ runtime }) => runtime.listContainers({}), { own: told });
    await same("its name again", (s) => s.create("pod", config), {
      newer:
        'failedPrecondition: failed to reserve container name "work_pod_tests_uid-pod_0"; check if another CreateContainer request is in progress: name "work_pod_tests_uid-pod_0" is reserved for "<work>"',
    });
    await same("start", (s) => s.start("work"));
    await same("status, running", status("work"), { own: told });
    await same("start again", (s) => s.start("work"));
    await same("stop", stop("work", 10));
    await same("status, stopped", status("work"), { own: told });
    await same("stop again", stop("work", 10));
    await same("start it then", (s) => s.start("work"));
    await same("list, stopped", ({ runtime }) => runtime.listContainers({}), { own: told });
    await same("log", (s) => s.log("pod", "work"));
    await same("remove", remove("work"));
    await same("remove again", remove("work"));
    await same("status, removed", status("work"));
    await same("list, removed", ({ runtime }) => runtime.listContainers({}));
  });

  test("ends, their status and reason", async (pair) => {
    await started(
      pair,
      scriptContainer("good", "exit 0"),
      scriptContainer("bad", "echo no >&2; exit 3"),
      scriptContainer("signalled", "kill -9 $$"),
    );
    for (const name of ["good", "bad", "signalled"]) {
      await pair.each((s) => s.ended(name));
      await pair.same(`status of ${name}`, status(name), { own: told });
    }
  });

  test("stopping one that doesn't listen, and removing one that runs", async (pair) => {
    const deaf = 'trap "" TERM; echo ready; while :; do sleep 0.1; done';
    await started(pair, scriptContainer("deaf", deaf), scriptContainer("busy", "sleep 1000"));
    await pair.each((s) => s.runtime.execSync({ containerId: s.id("deaf"), cmd: ["true"] }));
    await pair.same("stop", stop("deaf", 1));
    await pair.same("status", status("deaf"), { own: told });
    await pair.same("remove", remove("busy"));
    await pair.same("list", async ({ runtime }) => (await runtime.listContainers({})).containers.length);
  });

  test("what is unknown", async ({ same }) => {
    for (const containerId of [unknownId, "none"]) {
      // Version 1 said that it found none; the interface asks that stopping may be repeated.
      await same(`stop ${containerId}`, ({ runtime }) => runtime.stopContainer({ containerId, timeout: 0n }), {
        newer: {},
      });
      await same(`start ${containerId}`, ({ runtime }) => runtime.startContainer({ containerId }));
      await same(`remove ${containerId}`, ({ runtime }) => runtime.removeContainer({ containerId }));
      await same(`status ${containerId}`, ({ runtime }) => runtime.containerStatus({ containerId }));
      await same(`log ${containerId}`, ({ runtime }) => runtime.reopenContainerLog({ containerId }));
      await same(`exec ${containerId}`, ({ runtime }) => runtime.execSync({ containerId, cmd: ["true"] }));
      await same(`update ${containerId}`, ({ runtime }) =>
        runtime.updateContainerResources({ containerId, linux: {} }),
      );
      await same(`stats ${containerId}`, ({ runtime }) => runtime.containerStats({ containerId }));
    }
  });

  test("what can't be made", async ({ same, each }) => {
    await each((s) => s.runPod("pod"));
    const attempt = async (what: string, config: NewContainer, options = {}): Promise<void> => {
      await same(what, (s) => s.create("pod", { ...scriptContainer(what, "true"), ...config }), options);
    };
    await attempt("no metadata", { metadata: undefined });
    await attempt(
      "an unknown image",
      { image: { image: "docker.io/library/none:latest" } },
      {
        newer:
          'notFound: failed to check if this is a checkpoint image: failed to resolve image "docker.io/library/none:latest"',
      },
    );
    await attempt(
      "an image without a name",
      { image: { image: "" } },
      { own: 'notFound: failed to check if this is a checkpoint image: failed to resolve image ""' },
    );
    await attempt("a mount of nothing", { mounts: [{ containerPath: "/data", hostPath: "" }] });
    await attempt("a device that isn't there", {
      devices: [{ containerPath: "/dev/x", hostPath: "/dev/none", permissions: "rwm" }],
    });
    await attempt("a group without a user", { linux: { securityContext: { runAsGroup: { value: 1n } } } });
    await attempt(
      "an unknown user",
      { linux: { securityContext: { runAsUsername: "nobody-there" } } },
      // hull looks into no mount for it, and says which user.
      {
        own: 'unknown: failed to create containerd container: no users found: user "nobody-there" is not in the image\'s /etc/passwd',
      },
    );
    await attempt("a bad capability", {
      linux: { securityContext: { capabilities: { addCapabilities: ["NONE"] } } },
    });
    await attempt("a profile of seccomp that isn't there", {
      linux: { securityContext: { seccomp: { profileType: 2, localhostRef: "/none.json" } } },
    });
    await same("in an unknown pod", ({ runtime }) =>
      runtime.createContainer({ podSandboxId: unknownId, config: scriptContainer("lost", "true"), sandboxConfig: {} }),
    );
    await same("list", ({ runtime }) => runtime.listContainers({}), { own: told });
    await each((s) => s.runtime.stopPodSandbox({ podSandboxId: s.id("pod") }));
    // Version 2.1 makes it, in a pod that can't run it any more.
    await attempt("in a stopped pod", {}, { own: 'unknown: sandbox container "<pod>" is not running' });
  });

  test("a program that isn't there", async ({ same, each }) => {
    await each((s) => s.runPod("pod"));
    await same("create", (s) => s.create("pod", { ...scriptContainer("none", ""), command: ["/bin/none"] }));
    await same("start", (s) => s.start("none"), { mask: /failed to create .*$/s });
    await same("status", status("none"), { own: told, mask: /failed to create .*$/s });
    await same("stop", stop("none", 0));
    await same("remove", remove("none"));
  });

  test("lists by their filters", async (pair) => {
    const label = (name: string, labels: Record<string, string>, script = "sleep 1000"): NewContainer =>
      scriptContainer(name, script, { labels });
    await started(pair, label("one", { app: "a" }), label("two", { app: "a", tier: "y" }, "true"));
    await pair.each(async (s) => {
      await s.create("pod", label("three", { app: "b" }));
      await s.runPod("other");
      await s.create("other", label("four", { app: "a" }));
      await s.ended("two");
    });
    const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;
    const filters = {
      all: () => ({}),
      created: () => ({ state: { state: CONTAINER_CREATED } }),
      running: () => ({ state: { state: CONTAINER_RUNNING } }),
      ended: () => ({ state: { state: CONTAINER_EXITED } }),
      "of a pod": (id: CriServer["id"]) => ({ podSandboxId: id("pod") }),
      "of a pod by the beginning of its id": (id: CriServer["id"]) => ({ podSandboxId: id("pod").slice(0, 10) }),
      "by a label": () => ({ labelSelector: { app: "a" } }),
      "of a pod, by a label": (id: CriServer["id"]) => ({ podSandboxId: id("other"), labelSelector: { app: "a" } }),
      "by an id": (id: CriServer["id"]) => ({ id: id("one") }),
      "by the beginning of an id": (id: CriServer["id"]) => ({ id: id("one").slice(0, 13) }),
      "by an unknown id": () => ({ id: unknownId }),
    };
    for (const [what, filter] of Object.entries(filters)) {
      await pair.same(what, async ({ runtime, id }) => {
        const { containers } = await runtime.listContainers({ filter: filter(id) });
        return containers.map(({ metadata, state }) => `${metadata?.name} ${state}`).sort();
      });
    }
  });

  test("what a container sees of its configuration", async (pair) => {
    const look =
      'id; pwd; echo "$0 $@"; env | sort; cat /proc/self/oom_score_adj; grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status; ls -l /dev | awk "{print \\$1,\\$3,\\$NF}"; mount | sed "s/ (.*//" | sort';
    await started(pair, {
      ...scriptContainer("look", ""),
      command: ["sh", "-c", look],
      args: ["zero", "one", "two"],
      envs: [
        { key: "OF", value: Buffer.from("pod") },
        { key: "EMPTY", value: Buffer.from("") },
      ],
    });
    await pair.same("as it is", (s) => s.log("pod", "look"));
    const user = {
      runAsUser: { value: 1000n },
      runAsGroup: { value: 50n },
      supplementalGroups: [7n],
      noNewPrivs: true,
    };
    await pair.each(async (s) => {
      await s.create("pod", {
        ...scriptContainer("user", look, { linux: { securityContext: user } }),
        workingDir: "/made/here",
      });
      await s.start("user");
    });
    await pair.same("as a user", (s) => s.log("pod", "user"));
    const privileged = "grep -E '^(Cap|Seccomp:)' /proc/self/status; [ -e /dev/kmsg ] && echo kmsg";
    await pair.each(async (s) => {
      await s.runPod("strong", { linux: { securityContext: { privileged: true } } });
      await s.create(
        "strong",
        scriptContainer("strength", privileged, { linux: { securityContext: { privileged: true } } }),
      );
      await s.start("strength");
    });
    await pair.same("privileged", (s) => s.log("strong", "strength"));
  });

  test("mounts, resources and their update", async (pair) => {
    const resources = {
      memoryLimitInBytes: 64n << 20n,
      cpuPeriod: 100_000n,
      cpuQuota: 50_000n,
      cpuShares: 512n,
      oomScoreAdj: 500n,
    };
    await pair.each(async (s) => {
      await Bun.write(s.folder("data/file"), "content\n");
      await s.runPod("pod");
    });
    await pair.same("create", (s) =>
      s.create(
        "pod",
        scriptContainer(
          "limited",
          "cat /data/file; touch /data/x /rw/y; cat /proc/self/oom_score_adj; exec sleep 1000",
          {
            mounts: [
              { containerPath: "/data", hostPath: s.folder("data"), readonly: true },
              { containerPath: "/rw", hostPath: s.folder("new/deep") },
            ],
            linux: { resources },
          },
        ),
      ),
    );
    await pair.same("start", (s) => s.start("limited"));
    await pair.same("status", status("limited"), { own: told });
    const limits = ({ runtime, id }: CriServer) =>
      runtime.execSync({
        containerId: id("limited"),
        cmd: [
          "sh",
          "-c",
          "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares; cat memory.max cpu.max 2>/dev/null; true",
        ],
      });
    await pair.same("its limits", limits);
    await pair.same("update", ({ runtime, id }) =>
      runtime.updateContainerResources({
        containerId: id("limited"),
        linux: { memoryLimitInBytes: 128n << 20n, cpuQuota: 80_000n, cpuPeriod: 100_000n },
      }),
    );
    await pair.same("its limits then", limits);
    await pair.same("status then", status("limited"), { own: told });
  });

  test("out of memory", async (pair) => {
    const hog = "exec dd if=/dev/zero of=/dev/null bs=200M";
    await started(pair, scriptContainer("hog", hog, { linux: { resources: { memoryLimitInBytes: 32n << 20n } } }));
    await pair.each((s) => s.ended("hog"));
    await pair.same("status", status("hog"), { own: told });
  });

  test("commands in it", async (pair) => {
    await started(pair, scriptContainer("anchor", "sleep 1000"), scriptContainer("over", "true"));
    await pair.each((s) => s.ended("over"));
    const exec = (what: string, cmd: string[], timeout = 0n, options = {}) =>
      pair.same(what, ({ runtime, id }) => runtime.execSync({ containerId: id("anchor"), cmd, timeout }), options);
    await exec("both outputs and a status", ["sh", "-c", "echo out; echo err >&2; exit 5"]);
    await exec("no command", []);
    await exec("a program that isn't there", ["none"], 0n, { mask: /OCI runtime exec failed.*$/s });
    await exec("much output", ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x | md5sum"]);
    await exec("a time that passes", ["sleep", "60"], 1n);
    await exec("a signal", ["sh", "-c", "kill -9 $$"]);
    await exec("its environment", ["sh", "-c", "env | sort; pwd; id"]);
    await pair.same("in one that has ended", ({ runtime, id }) =>
      runtime.execSync({ containerId: id("over"), cmd: ["true"] }),
    );
  });

  test("logs: long lines, unended ones, both streams, and reopening", async (pair) => {
    const script = [
      "head -c 40000 /dev/zero | tr '\\0' a; echo",
      "head -c 16384 /dev/zero | tr '\\0' b; echo",
      "head -c 16385 /dev/zero | tr '\\0' c; echo",
      "printf 'with a return\\r\\n'; echo; printf 'no end'",
    ];
    await started(pair, scriptContainer("lines", script.join("; ")));
    await pair.same("lines", async (s) =>
      (await s.log("pod", "lines")).map((line) =>
        line.replace(/([abc])\1{50,}/, (run, letter) => `${run.length}×${letter}`),
      ),
    );
    await pair.same("reopen what has ended", ({ runtime, id }) =>
      runtime.reopenContainerLog({ containerId: id("lines") }),
    );
    const waiting = "echo before; until [ -e /rw/go ]; do sleep 0.05; done; echo after; echo error >&2";
    await pair.each(async (s) => {
      const mounts = [{ containerPath: "/rw", hostPath: s.folder("rw") }];
      await s.create("pod", scriptContainer("turned", waiting, { mounts }));
      await s.start("turned");
      await s.logged("pod", "turned", "before");
      renameSync(s.folder("logs/pod/turned.log"), s.folder("logs/pod/turned.log.1"));
    });
    await pair.same("reopen", ({ runtime, id }) => runtime.reopenContainerLog({ containerId: id("turned") }));
    await pair.each((s) => Bun.write(s.folder("rw/go"), ""));
    // The streams are two: either may be first.
    await pair.same("what comes after", async (s) => (await s.log("pod", "turned")).sort());
  });
});
