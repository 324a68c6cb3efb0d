import type { TransferProgress } from "@hull/client/transfer";
import { SysError } from "@hull/sys/errno";
import { type TerminalSize, terminalSize } from "@hull/sys/terminal";
import type { Host } from "../command/index.ts";
import { formatSize } from "./format.ts";

/** What is known of one blob or image. */
interface Item {
  event: string;
  done: number;
  total: number;
  /** Bytes per second over the last moments. */
  rate: number;
  /** Where the rate was measured last. */
  since: { at: number; done: number };
}

/** Steps that something ends with; where nothing can be redrawn, the only ones that are worth a line. */
const endEvents = new Set(["complete", "already exists", "extracted", "done", "saved", "pushed content"]);
/** Steps in which bytes go to and fro. */
const movingEvents = new Set(["downloading", "uploading"]);
const redrawMs = 100;
/** A rate is taken anew so often, ms. */
const rateMs = 500;

/** The progress of a pull on stderr: a line per layer that is redrawn in place on a terminal, a line per finished step elsewhere. */
export class PullProgress implements Disposable {
  readonly #host: Host;
  readonly #quiet: boolean;
  readonly #items = new Map<string, Item>();
  readonly #screen: TerminalSize | undefined;
  readonly #started = performance.now();
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: Host, quiet: boolean) {
    this.#host = host;
    this.#quiet = quiet;
    this.#screen = sizeOf(2);
  }

  update({ event, name, progress, total }: TransferProgress): void {
    if (this.#quiet || name === "") return;
    const item = this.#items.get(name);
    const changed = item?.event !== event;
    const now = performance.now();
    const next = item ?? { event, done: 0, total: 0, rate: 0, since: { at: now, done: progress } };
    if (movingEvents.has(event)) measure(next, progress, now);
    next.event = event;
    next.done = progress > 0 ? progress : next.done;
    next.total = total > 0 ? total : next.total;
    this.#items.set(name, next);
    if (this.#screen !== undefined) this.#timer ??= setTimeout(() => this.#draw(), redrawMs);
    else if (changed && endEvents.has(event)) this.#host.err(`${plainLine(name, next)}\n`);
  }

  /** Shows the end, and how long it took. */
  finish(verb = "pulled"): void {
    if (this.#quiet) return;
    this.#draw();
    const seconds = (performance.now() - this.#started) / 1000;
    const bytes = [...this.#items].reduce((sum, [name, { total }]) => sum + (name.startsWith("layer-") ? total : 0), 0);
    this.#host.err(`${verb} ${formatSize(bytes)} of layers in ${seconds.toFixed(1)} s\n`);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const screen = this.#screen;
    if (screen === undefined) return;
    const shown = fitting([...this.#items], screen.rows - 1);
    const lines = shown.map(([name, item]) => progressLine(name, item, screen.columns));
    // Up to the first line, each cleared and written anew.
    const up = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A`;
    this.#host.err(`${up}${lines.map((line) => `\r\x1b[2K${line}\n`).join("")}\x1b[J`);
    this.#drawn = lines.length;
  }
}

/** What a screen of so many rows can show: where that isn't all, what is still going on comes first. */
function fitting(items: readonly [string, Item][], rows: number): readonly [string, Item][] {
  if (items.length <= rows) return items;
  const running = items.filter(([, { event }]) => !endEvents.has(event));
  return [...running, ...items.filter(([, { event }]) => endEvents.has(event)).reverse()].slice(0, rows);
}

function measure(item: Item, done: number, now: number): void {
  const { at, done: before } = item.since;
  if (now - at < rateMs) return;
  item.rate = Math.max(0, ((done - before) * 1000) / (now - at));
  item.since = { at: now, done };
}

function plainLine(name: string, { event, total }: Item): string {
  return `${shortName(name)}: ${event}${total > 0 && event === "complete" ? `, ${formatSize(total)}` : ""}`;
}

/** `layer-sha256:0123…` → `layer 0123456789ab`. */
function shortName(name: string): string {
  const [, kind, hex] = /^(\w+)-\w+:([0-9a-f]{12})[0-9a-f]*$/.exec(name) ?? [];
  return kind === undefined ? name : `${kind} ${hex}`;
}

/** One line of at most `columns` - 1 characters, so that no terminal wraps it: first the bar goes, then the figures. */
export function progressLine(name: string, item: Omit<Item, "since">, columns: number): string {
  const { event, done, total, rate } = item;
  const what = `${shortName(name).padEnd(21)} ${event.padEnd(14)}`;
  const width = columns - 1;
  if (!movingEvents.has(event) || total === 0) return what.trimEnd().slice(0, width);
  const figures = `${formatSize(done)}/${formatSize(total)}${rate > 0 ? ` ${formatSize(rate)}/s` : ""}`;
  const room = width - what.length - figures.length - 4;
  if (room < 8) return `${what}${figures}`.slice(0, width);
  const length = Math.min(room, 30);
  const filled = Math.min(length, Math.floor((done / total) * length));
  return `${what}[${"=".repeat(filled)}${" ".repeat(length - filled)}] ${figures}`;
}

/** The terminal's size; undefined for anything else. */
function sizeOf(fd: number): TerminalSize | undefined {
  try {
    const { columns, rows } = terminalSize(fd);
    return columns === 0 || rows === 0 ? { columns: 80, rows: 24 } : { columns, rows };
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}
