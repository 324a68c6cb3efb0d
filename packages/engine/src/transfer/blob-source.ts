import { isCode } from "@hull/errors";
import { parseReference } from "@hull/oci";
import type { ContentStore } from "../content/index.ts";
import type { Context } from "../context.ts";
import type { Labels } from "../labels.ts";
import { addLabels } from "./blobs.ts";

/**
 * Where a blob came from, for later pushes to take it over: the label `containerd.io/distribution.source.<host>` lists repositories.
 */
const prefix = "containerd.io/distribution.source.";

/** As containerd has it, of the host without its port. */
const labelOf = (reference: string): string => prefix + parseReference(reference).domain.replace(/:\d+$/, "");

const listOf = (value = ""): string[] => value.split(",").filter((repository) => repository !== "");

/** The label of a blob that comes from, or went to, a repository too. */
export function sourceLabels(present: Labels, reference: string): Labels {
  const { path } = parseReference(reference);
  const key = labelOf(reference);
  return { [key]: [...new Set([...listOf(present[key]), path])].sort().join(",") };
}

/** Labels a blob that is here. What is gone meanwhile needs no label. */
export async function addSource(ctx: Context, content: ContentStore, digest: string, reference: string): Promise<void> {
  try {
    const { labels } = await content.info(ctx, digest);
    await addLabels(ctx, content, digest, sourceLabels(labels, reference));
  } catch (error) {
    if (!isCode(error, "notFound")) throw error;
  }
}

/** The repository of the same host to take a blob over from: the one with which most of the path is shared. */
export function mountSource(labels: Labels, reference: string): string | undefined {
  const { path } = parseReference(reference);
  const wanted = path.split("/");
  let best: { repository: string; shared: number } | undefined;
  for (const repository of listOf(labels[labelOf(reference)])) {
    if (repository === path) continue;
    const parts = repository.split("/");
    const end = parts.findIndex((part, at) => part !== wanted[at]);
    const shared = end < 0 ? parts.length : end;
    if (shared > (best?.shared ?? -1)) best = { repository, shared };
  }
  return best?.repository;
}
