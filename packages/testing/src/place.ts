import { existsSync, statSync } from "node:fs";
import { connect, type Hull, HullError } from "@hull/client";
import { unavailable } from "@hull/errors";

/** Where containers are run: all that it takes to get there again, from another process too. */
export type Place =
  | { readonly kind: "daemon"; readonly address: string; readonly namespace: string }
  | {
      readonly kind: "engine";
      readonly root: string;
      readonly state: string;
      readonly namespace: string;
      readonly plugins: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };

const usualAddresses = ["/run/hull/hull.sock", "/run/containerd/containerd.sock"];

/** For a daemon to answer, ms. */
const patienceMs = 5000;

/** The address of the daemon that is meant, or there; undefined if there is none. */
export async function findDaemon(address: string | undefined): Promise<string | undefined> {
  const named = [address, process.env.HULL_ADDRESS, process.env.CONTAINERD_ADDRESS].find(
    (one) => one !== undefined && one !== "",
  );
  if (named !== undefined) return named;
  for (const usual of usualAddresses) {
    if (!existsSync(usual) || !statSync(usual).isSocket()) continue;
    try {
      await using hull = await connect({ address: usual, timeoutMs: patienceMs });
      await hull.within({ timeoutMs: patienceMs }).namespaces.list();
      return usual;
    } catch {
      // Nobody behind it, or nobody who lets us in.
    }
  }
  return undefined;
}

/** @throws Unavailable if nobody is there, saying what to do */
export async function openPlace(place: Place): Promise<Hull> {
  if (place.kind === "daemon") return await connect(place);
  const { root, state, namespace, plugins } = place;
  let module: typeof import("@hull/embed");
  try {
    module = await import("@hull/embed");
  } catch (cause) {
    const { message } = HullError.from(cause);
    throw unavailable(
      `no daemon runs here (${usualAddresses.join(", ")}), and the package "@hull/engine" can't be loaded (${message}): start a daemon, set HULL_ADDRESS, or npm install @hull/engine`,
      { cause },
    );
  }
  return await module.Engine.open({ root, state, namespace, plugins, containers: "end" });
}
