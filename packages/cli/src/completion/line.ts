/** The words of a command line up to its end, as a shell would read it: quotes and backslashes taken off. The last may be begun, or empty. */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? "";
    if (quote === "'") {
      if (character === "'") quote = "";
      else word = (word ?? "") + character;
    } else if (character === "\\" && (quote === "" || /["\\$`]/.test(line[at + 1] ?? ""))) {
      word = (word ?? "") + (line[++at] ?? "");
    } else if (quote === '"') {
      if (character === '"') quote = "";
      else word = (word ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  return [...words, word ?? ""];
}

/**
 * What bash has to be given of a candidate: it takes the part of a word behind the last of the characters that break words, `:` and `=`
 * among them, for the whole word. See COMP_WORDBREAKS in bash(1).
 */
export function trimBreaks(candidate: string, current: string, breaks: string): string {
  let end = 0;
  for (const [at, character] of [...current].entries()) {
    if (":=".includes(character) && breaks.includes(character)) end = at + 1;
  }
  return candidate.slice(end);
}
