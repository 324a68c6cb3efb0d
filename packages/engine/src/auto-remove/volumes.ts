/** The volumes of a container, as its client notes them in the record: JSON, a list of AttachedVolume. */
export const volumesLabel = "hull/volumes";

export interface AttachedVolume {
  readonly name: string;
  readonly destination: string;
  /** It came with the container and goes with it. */
  readonly anonymous: boolean;
}

/** Names of volumes that were given none: no other can have such a one by accident, nor lead elsewhere as a path. */
const anonymousName = /^[0-9a-f]{64}$/;

/** What the label says; nothing where it says nothing that makes sense. */
export function attachedVolumes(labels: Readonly<Record<string, string>>): AttachedVolume[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(labels[volumesLabel] ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((each: unknown) => {
    if (typeof each !== "object" || each === null) return [];
    const { name, destination, anonymous } = each as Record<string, unknown>;
    if (typeof name !== "string" || typeof destination !== "string") return [];
    return [{ name, destination, anonymous: anonymous === true && anonymousName.test(name) }];
  });
}
