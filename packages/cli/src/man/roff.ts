/**
 * Writing of man pages with the macros of man(7): https://man7.org/linux/man-pages/man7/man.7.html.
 */

/** Text as it is to be seen. */
export function visibleText(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}

/** An argument of a macro: quoted, as it may have blanks. */
const quoted = (text: string): string => `"${visibleText(text).replaceAll('"', '""')}"`;

export const bold = (text: string): string => `\\fB${visibleText(text)}\\fR`;
export const italic = (text: string): string => `\\fI${visibleText(text)}\\fR`;

/** A page, put together from its top to its end. */
export class Page {
  readonly #lines: string[] = [];

  constructor(options: { name: string; section: number; about: string; version: string; date: string }) {
    const { name, section, about, version, date } = options;
    this.#lines.push(
      `.TH ${quoted(name.toUpperCase())} ${section} "${date}" ${quoted(`hull ${version}`)} ${quoted("hull")}`,
    );
    this.section("Name");
    this.#lines.push(`${visibleText(name)} \\- ${visibleText(about)}`);
  }

  section(title: string): void {
    this.#lines.push(`.SH ${quoted(title.toUpperCase())}`);
  }

  subsection(title: string): void {
    this.#lines.push(`.SS ${quoted(title)}`);
  }

  /** A line of roff as it is: text that has been escaped, with its fonts. */
  raw(line: string): void {
    this.#lines.push(line);
  }

  /** Paragraphs, divided by empty lines; one whose lines are set in keeps them as they are. */
  paragraphs(text: string): void {
    for (const [at, paragraph] of text
      .trim()
      .split(/\n\s*\n/)
      .entries()) {
      if (at > 0) this.#lines.push(".PP");
      const lines = paragraph.split("\n").map((line) => line.trimEnd());
      if (lines.some((line) => /^\s/.test(line))) this.#lines.push(".nf", ...lines.map(visibleText), ".fi");
      else this.#lines.push(...lines.filter((line) => line !== "").map(visibleText));
    }
  }

  /** An entry of a list; `term` has been escaped. */
  item(term: string, text: string): void {
    this.#lines.push(".TP", term, visibleText(text.replace(/\s+/g, " ").trim()) || "\\&");
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
