import { profileFor } from "@hull/engine/apparmor/index";
import { canceled, failedPrecondition, HullError, invalidArgument } from "@hull/errors";
import { hostPlatform } from "@hull/oci/platform";
import type { Client } from "../client.ts";
import { type Container as ContainerRecord, createContainer, removeContainer } from "../containers.ts";
import type { Hull } from "../sdk/hull.ts";
import { type Image, imageToRun } from "../sdk/images.ts";
import { ignoring } from "../sdk/process.ts";
import { RunningContainer } from "../sdk/running.ts";
import { deadlineLabel, graceMs, removeForgotten } from "./forgotten.ts";
import type { SandboxOutcome, SandboxResult } from "./index.ts";
import {
  type IdBlock,
  isolationOf,
  mapsOwners,
  randomIds,
  runtimeOf,
  snapshotLabelsOf,
  withoutUserNamespaces,
} from "./isolation.ts";
import { type Isolation, limitsOf, type SandboxLimits, type SandboxOptions, userOf } from "./options.ts";
import { type Ended, untilEnd } from "./run.ts";
import { sandboxSpec } from "./spec.ts";
import { partsOf, Workspace } from "./workspace.ts";

const snapshotter = "overlayfs";

/** See `runSandboxed`. */
export async function run(hull: Hull, image: string | Image, options: SandboxOptions): Promise<SandboxResult> {
  const { signal, pull = "missing" } = options;
  const limits = limitsOf(options);
  const user = userOf(options);
  const isolation = isolationOf(options);
  for (const path of options.take ?? []) partsOf(path);
  const stopped = (): HullError => canceled("the sandbox was canceled", { cause: signal?.reason });
  if (signal?.aborted) throw stopped();
  await removeForgotten(hull.api);
  const found = await imageToRun(hull.images, image, { pull, ...(signal === undefined ? {} : { signal }) });
  await found.unpack({ snapshotter });
  const ids = await idsFor(hull.api, isolation, options);
  if (ids === undefined && user.uid === 0 && isolation === "container")
    throw invalidArgument(
      "user 0 of a sandbox needs a user namespace or gVisor, and there is neither: use another user",
    );
  const attempt = new Attempt(hull.api, found, options, { limits, user, isolation });
  let result: SandboxResult;
  try {
    result = await attempt.run(ids);
  } catch (error) {
    if (!(error instanceof StartFailure)) throw signal?.aborted ? stopped() : error;
    if (ids === undefined || options.userNamespace === "required" || user.uid === 0) throw error.reason;
    // Nothing of it has run. Whether it is for its user namespace is seen by another try.
    try {
      result = await attempt.run(undefined);
    } catch (second) {
      throw second instanceof StartFailure ? second.reason : second;
    }
    withoutUserNamespaces(hull.api);
  }
  if (signal?.aborted) throw stopped();
  return result;
}

async function idsFor(
  client: Client,
  isolation: Isolation,
  { userNamespace = "auto" }: SandboxOptions,
): Promise<IdBlock | undefined> {
  // gVisor keeps users by itself.
  if (userNamespace === "off" || (isolation === "gvisor" && userNamespace === "auto")) return undefined;
  if (isolation === "container" && (await mapsOwners(client, snapshotter))) return randomIds();
  if (userNamespace === "auto") return undefined;
  throw failedPrecondition(
    isolation === "gvisor"
      ? 'user namespaces are for isolation "container": leave `userNamespace` out with gVisor'
      : `the daemon at "${client.address}" has no user namespaces for containers: use userNamespace "auto"`,
  );
}

/** It failed before the program ran. */
class StartFailure extends Error {
  readonly reason: HullError;

  constructor(error: unknown) {
    super("the sandbox did not start");
    this.reason = HullError.from(error);
  }
}

interface Fixed {
  readonly limits: SandboxLimits;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly isolation: Isolation;
}

/** One way of running it; disposes of all that it made. */
class Attempt {
  readonly #client: Client;
  readonly #image: Image;
  readonly #options: SandboxOptions;
  readonly #fixed: Fixed;

  constructor(client: Client, image: Image, options: SandboxOptions, fixed: Fixed) {
    this.#client = client;
    this.#image = image;
    this.#options = options;
    this.#fixed = fixed;
  }

  /** @throws StartFailure if the program hasn't run */
  async run(ids: IdBlock | undefined): Promise<SandboxResult> {
    const { limits, user, isolation } = this.#fixed;
    const { files = {}, take = [], stdin = "ignore" } = this.#options;
    const id = randomId();
    const first = ids?.first ?? 0;
    const owner = { uid: first + user.uid, gid: first + user.gid };
    using workspace = new Workspace(id, { disk: limits.disk, ids: owner });
    workspace.put(files, owner);
    const record = await this.#create(id, ids, workspace);
    let container: RunningContainer;
    const startedAt = performance.now();
    try {
      container = await RunningContainer.start(this.#client, record, { stdin });
    } catch (error) {
      await ignoring("notFound", removeContainer(this.#client, record)).catch(() => {});
      throw new StartFailure(error);
    }
    let ended: Ended;
    {
      await using running = container;
      ended = await untilEnd(this.#client, running, this.#options, limits, startedAt);
    }
    const filling = workspace.filling();
    const { code, stdout, stderr, truncated, counted } = ended;
    return {
      outcome: outcomeOf(ended, filling.full),
      code,
      stdout,
      stderr,
      truncated,
      files: workspace.take(take),
      usage: {
        cpuMs: counted?.cpuMs ?? 0,
        memoryPeak: counted?.memoryPeak ?? 0,
        wallMs: ended.wallMs,
        diskBytes: filling.bytes,
      },
      confinement: { isolation, userNamespace: ids !== undefined, hostUid: owner.uid },
    };
  }

  async #create(id: string, ids: IdBlock | undefined, workspace: Workspace): Promise<ContainerRecord> {
    const { limits, user, isolation } = this.#fixed;
    const { namespace } = this.#client;
    const { network = "none" } = this.#options;
    const platformImage = await this.#image.forPlatform(hostPlatform());
    const { labels, steps } =
      network === "none"
        ? { labels: {}, steps: [] }
        : await (await import("./network.ts")).allowedNetwork(network.allow, {
            id,
            namespace,
            folder: workspace.folder,
            isolation,
          });
    const spec = sandboxSpec(this.#options, {
      id,
      namespace,
      image: platformImage.config,
      limits,
      workspace,
      user,
      ids,
      network: steps,
      isolation,
      // gVisor's kernel is what confines there.
      apparmor: isolation === "container" ? await profileFor(undefined) : undefined,
    });
    return await createContainer(this.#client, {
      id,
      labels: { ...labels, [deadlineLabel]: String(Date.now() + limits.timeMs + graceMs) },
      runtime: runtimeOf(isolation, workspace.folder),
      rootfs: {
        image: platformImage,
        imageName: this.#image.name,
        snapshotter,
        ...(ids === undefined ? {} : { snapshotLabels: snapshotLabelsOf(ids) }),
      },
      spec: () => spec,
    });
  }
}

function outcomeOf({ stopped, counted, code }: Ended, full: boolean): SandboxOutcome {
  if (counted !== undefined && counted.oomKills > 0) return "memory";
  if (stopped !== undefined) return stopped;
  return full && code !== 0 ? "disk" : "exited";
}

/** 64 hexadecimal digits. */
const randomId = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
