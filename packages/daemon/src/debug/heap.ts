import { ProfileBuilder } from "./profile.ts";

/** What of one class is in memory. */
export interface HeapClass {
  readonly name: string;
  objects: number;
  bytes: number;
}

/** Fields of a node in JavaScriptCore's heap snapshots: id, size, index of its class' name, flags. */
const nodeFields = 4;

/** The objects of this process by class, the largest sum first. Holds everything else up while it looks: tens of ms. */
export function heapClasses(): HeapClass[] {
  const { nodes, nodeClassNames } = Bun.generateHeapSnapshot();
  const classes = new Map<number, HeapClass>();
  for (let at = 0; at < nodes.length; at += nodeFields) {
    const index = nodes[at + 2] ?? 0;
    const found = classes.get(index) ?? { name: nodeClassNames[index] ?? "?", objects: 0, bytes: 0 };
    classes.set(index, found);
    found.objects++;
    found.bytes += nodes[at + 1] ?? 0;
  }
  return [...classes.values()].sort((a, b) => b.bytes - a.bytes);
}

/** They as a profile, each class a place. */
export function heapProfile(classes: readonly HeapClass[]): Uint8Array<ArrayBuffer> {
  const builder = new ProfileBuilder([
    ["inuse_objects", "count"],
    ["inuse_space", "bytes"],
  ]);
  for (const { name, objects, bytes } of classes) builder.add([{ name }], [objects, bytes]);
  return builder.finish({ comment: "objects by class: JavaScriptCore doesn't tell where they were made" });
}

/** They as text, for people. */
export const heapText = (classes: readonly HeapClass[]): string =>
  [
    "   objects      bytes  class",
    ...classes.map(
      ({ name, objects, bytes }) => `${String(objects).padStart(10)} ${String(bytes).padStart(10)}  ${name}`,
    ),
    "",
  ].join("\n");
