import { patternChecksum } from "../../test/support/mover/index.ts";
import { StreamingNode, type StreamingOptions, ways } from "../../test/support/mover/ways.ts";
import { figure, type Table, verdict } from "../report.ts";
import { median } from "../sample.ts";
import type { Nodes } from "./pods.ts";

/** What a way through the server took. */
interface Figures {
  /** MiB a second. */
  readonly rate: number;
  /** Seconds of processor, of the daemon and its shims. */
  readonly processor: number;
  /** All bytes came. */
  readonly isWhole: boolean;
}

/**
 * So many bytes through exec, attach and port-forward, with checksums at both ends. Both daemons by SPDY, which each has; hull also by
 * WebSocket, which an older containerd doesn't have here. An older containerd may lose what of an input is on its way when that ends.
 */
export async function streamingCase(
  nodes: Nodes,
  { rounds, only, ...options }: StreamingOptions & { rounds: number; only?: RegExp },
): Promise<Table> {
  const sum = patternChecksum(options.bytes);
  const hull = await StreamingNode.start(nodes.hull, options);
  const containerd = await StreamingNode.start(nodes.containerd, options);
  const sides = [
    { node: hull, protocol: "spdy" },
    { node: containerd, protocol: "spdy" },
    { node: hull, protocol: "websocket" },
  ] as const;
  const rows: string[][] = [];
  for (const way of ways.filter(({ name }) => only?.test(name) ?? true)) {
    const figures: Figures[][] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      for (const [index, { node, protocol }] of sides.entries()) {
        const before = node.processor();
        const { ms, came } = await way.move(node, protocol);
        const isWhole = came.bytes === options.bytes && came.checksum === sum;
        if (!isWhole && node === hull)
          throw new Error(`${way.name}, ${protocol}: ${came.bytes} bytes came, not as sent`);
        const rate = options.bytes / 2 ** 20 / (ms / 1000);
        figures[index]?.push({ rate, processor: (node.processor() - before) / 1000, isWhole });
      }
    }
    rows.push(rowOf(way.name, figures));
  }
  return {
    title: `${options.bytes / 2 ** 20} MiB through exec, attach and port-forward: MiB/s, and seconds of processor of daemon and shims`,
    header: [
      ...["way", "hull", "containerd", "ratio", "target", "processor: hull", "containerd", "ratio", "target"],
      ...["hull by WebSocket", "processor", "containerd lost bytes"],
    ],
    rows,
  };
}

function rowOf(name: string, [own = [], other = [], byWebSocket = []]: readonly Figures[][]): string[] {
  const middle = (figures: readonly Figures[], key: "rate" | "processor"): number =>
    median(figures.map((each) => each[key]));
  const ratio = (key: "rate" | "processor"): number =>
    median(own.map((figures, round) => figures[key] / (other[round]?.[key] ?? Number.NaN)));
  return [
    name,
    ...[middle(own, "rate"), middle(other, "rate")].map(figure),
    ...[ratio("rate").toFixed(2), verdict(ratio("rate"), "≥", 1)],
    ...[middle(own, "processor"), middle(other, "processor")].map(figure),
    ...[ratio("processor").toFixed(2), verdict(ratio("processor"), "≤", 1)],
    ...[middle(byWebSocket, "rate"), middle(byWebSocket, "processor")].map(figure),
    `${other.filter(({ isWhole }) => !isWhole).length} of ${other.length}`,
  ];
}
