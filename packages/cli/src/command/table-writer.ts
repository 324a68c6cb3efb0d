/** How columns are laid out, as Go's text/tabwriter names it. */
export interface TableLayout {
  /** Cells are at least this wide, padding included. */
  minWidth: number;
  /** Blanks between a cell and the next. */
  padding: number;
  /** Pads with tabs, to multiples of eight. */
  tabs?: boolean;
}

const tabWidth = 8;

/** containerd's lists: `tabwriter.NewWriter(out, 1, 8, 1, ' ', 0)`. */
export const listLayout: TableLayout = { minWidth: 1, padding: 1 };

/**
 * Lays out lines whose cells end with a tab, as Go's text/tabwriter does: a column is a run of consecutive lines that have a cell
 * there, and is as wide as the widest of these; what follows a line's last tab belongs to no column.
 *
 * Widths are counted in characters. See https://pkg.go.dev/text/tabwriter.
 */
export function formatColumns(text: string, { minWidth, padding, tabs = false }: TableLayout = listLayout): string {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const widths: number[][] = lines.map(() => []);
  layOut(0, lines.length, 0);
  return lines.map((cells, at) => formatLine(cells, widths[at] ?? [], tabs)).join("\n");

  /** Sets the widths of a column and of those right of it, within the lines from `first` to `end`. */
  function layOut(first: number, end: number, column: number): void {
    for (let at = first; at < end; at++) {
      if (!hasCell(at, column)) continue;
      let after = at;
      let width = minWidth;
      for (; after < end && hasCell(after, column); after++) {
        const cell = lines[after]?.[column] ?? "";
        const length = [...cell].length;
        width = Math.max(width, length + padding);
      }
      for (let line = at; line < after; line++) widths[line]?.splice(column, 1, width);
      layOut(at, after, column + 1);
      at = after - 1;
    }
  }

  function hasCell(line: number, column: number): boolean {
    return column < (lines[line]?.length ?? 0) - 1;
  }
}

function formatLine(cells: readonly string[], widths: readonly number[], tabs: boolean): string {
  return cells
    .map((cell, column) => {
      const rest = Math.max(0, (widths[column] ?? 0) - [...cell].length);
      return cell + (tabs ? "\t".repeat(tabsFor([...cell].length, widths[column] ?? 0)) : " ".repeat(rest));
    })
    .join("");
}

function tabsFor(length: number, width: number): number {
  return Math.max(0, Math.ceil((Math.ceil(width / tabWidth) * tabWidth - length) / tabWidth));
}

/** A table of rows under a header. Every cell but a row's last is padded, as containerd's lists are. */
export function formatTable(rows: readonly (readonly string[])[], layout: TableLayout = listLayout): string {
  return formatColumns(rows.map((row) => `${row.join("\t")}\t\n`).join(""), layout);
}
