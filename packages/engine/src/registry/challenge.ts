/** The header `WWW-Authenticate` (RFC 9110, section 11.6.1): what a server wants to see before it answers. */

export interface Challenge {
  /** lower case: `bearer`, `basic` */
  scheme: string;
  /** names in lower case */
  parameters: Readonly<Record<string, string>>;
}

const tokenCharacter = /[!#$%&'*+.^_`|~0-9A-Za-z-]/;

/** The challenges of a header, in order; what can't be understood is left out. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const skip = (characters: RegExp) => {
    while (at < header.length && characters.test(header.charAt(at))) at++;
  };
  const token = () => {
    const start = at;
    skip(tokenCharacter);
    return header.slice(start, at);
  };
  while (at < header.length) {
    skip(/[\s,]/);
    const name = token();
    if (name === "") {
      at++;
      continue;
    }
    skip(/\s/);
    if (header.charAt(at) !== "=") {
      challenges.push({ scheme: name.toLowerCase(), parameters: Object.create(null) as Record<string, string> });
      continue;
    }
    at++;
    skip(/\s/);
    const value = header.charAt(at) === '"' ? quoted() : token();
    const last = challenges.at(-1);
    if (last !== undefined) last.parameters[name.toLowerCase()] = value;
  }
  return challenges;

  function quoted(): string {
    let text = "";
    for (at++; at < header.length && header.charAt(at) !== '"'; at++) {
      if (header.charAt(at) === "\\") at++;
      text += header.charAt(at);
    }
    at++;
    return text;
  }
}
