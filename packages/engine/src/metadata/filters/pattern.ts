import { invalidArgument } from "@hull/errors";

/**
 * Compiles the pattern of `~=`: RE2's syntax (https://github.com/google/re2/wiki/Syntax), not anchored, matched in linear time.
 *
 * Plain patterns (letters, anchors, groups, alternatives, a few `.*`) mean the same to the runtime's own engine and run there. Any
 * other goes to re2js, which is loaded when the first one comes: it costs 30 ms and 15 MB.
 * @throws InvalidArgument if it doesn't parse. (containerd takes such a filter and matches nothing.)
 */
export function compilePattern(source: string): (text: string) => boolean {
  const plain = plainPattern(source);
  if (plain !== undefined) return (text) => plain.test(text);
  const { RE2JS } = loadRe2();
  try {
    const compiled = RE2JS.compile(source);
    return (text) => compiled.test(text);
  } catch (cause) {
    throw invalidArgument(
      `filters: "${source}" is not a regular expression of RE2: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

const word = /(?:[A-Za-z0-9_/:@, =<>"'%&;~#-]|\\[.^$|/()[\]{}*+?\\]|[.^$|()]|[.A-Za-z0-9/][*+])/y;

/**
 * The pattern as the runtime's own expression if both engines agree on it and it can't take long: no classes, no flags, no repeated
 * groups, and at most two repetitions. Undefined for any other.
 */
export function plainPattern(source: string): RegExp | undefined {
  let translated = "";
  let repetitions = 0;
  let position = 0;
  let depth = 0;
  while (position < source.length) {
    const next = source.slice(position, position + 2);
    word.lastIndex = position;
    const repeated = /^[.A-Za-z0-9/][*+]$/.test(next);
    const token = repeated ? next : word.exec(source)?.[0];
    if (token === undefined || (repeated && ++repetitions > 2)) return undefined;
    if (token === "(") depth++;
    if (token === ")" && --depth < 0) return undefined;
    position += token.length;
    // A repetition of a group, an anchor or a repetition is for the other engine.
    if (/^[*+?{]/.test(source.slice(position, position + 1))) return undefined;
    translated += token.startsWith(".") ? `[^\\n]${token.slice(1)}` : token;
  }
  if (depth !== 0) return undefined;
  return new RegExp(translated, "v");
}

// A plain `require`: the bundler follows it, and it runs only when called.
function loadRe2(): typeof import("re2js") {
  return require("re2js") as typeof import("re2js");
}
