/** Pages of reference, made of declarations with their doc comments. */
import { parseAst } from "rolldown/parseAst";

const kinds = {
  FunctionDeclaration: "function",
  TSDeclareFunction: "function",
  ClassDeclaration: "class",
  TSInterfaceDeclaration: "interface",
  TSTypeAliasDeclaration: "type",
  VariableDeclaration: "constant",
};

/** What comes first in a page. */
const order = ["function", "class", "interface", "type", "constant"];

/**
 * A page for each package: what it exports, then the types which that is made of.
 * @param files texts of declarations, by their name
 */
export function referenceOf(packages, files) {
  const modules = new Map([...files].map(([name, text]) => [name, read(text)]));
  const shown = new Set();
  const pages = new Map();
  for (const { name, folder, description } of packages) {
    const root = modules.get(`${folder}.d.ts`);
    const exported = [...root.exports.keys()]
      .map((exportedName) => ({ exportedName, found: find(modules, root, root.exports.get(exportedName)) }))
      .filter(({ found }) => found !== undefined && !shown.has(found));
    for (const { found } of exported) shown.add(found);
    const others = reached(
      modules,
      exported.map(({ found }) => found),
      shown,
    );
    const own = exported.map(({ exportedName, found }) => section(exportedName, found));
    const parts = [
      `# ${name}\n\n${description}. Made of the doc comments of its sources by \`npm run docs:api\`.`,
      ...(folder === "engine" ? ["It exports all that [`@hull/client`](client.md) does, and:"] : []),
      ...own.sort(bySection).map(({ text }) => text),
      ...(others.length === 0 ? [] : ["## Types that these are made of\n\nThey have no names of their own to import."]),
      ...others
        .map((found) => section(found.name, found, "###"))
        .sort(bySection)
        .map(({ text }) => text),
    ];
    pages.set(folder, `${parts.join("\n\n")}\n`);
  }
  return pages;
}

/** The declarations, imports and exports of a file. */
function read(text) {
  const { body } = parseAst(text, { lang: "dts", sourceType: "module" });
  const module = { declarations: new Map(), imports: new Map(), exports: new Map() };
  for (const node of body) {
    if (node.type === "ImportDeclaration") {
      const from = node.source.value.replace(/^.*\//, "").replace(/\.js$/, ".d.ts");
      for (const one of node.specifiers) module.imports.set(one.local.name, { from, name: one.imported?.name });
    } else if (node.type === "ExportNamedDeclaration" && node.declaration === null) {
      for (const { local, exported } of node.specifiers) module.exports.set(exported.name, local.name);
    } else declare(module, node, text);
  }
  return module;
}

function declare(module, node, text) {
  const kind = kinds[node.type];
  const name = node.id?.name ?? node.declarations?.[0]?.id.name;
  if (kind === undefined || name === undefined) return;
  // A message is a type and its codec by one name: the type is what is meant.
  if (kind === "constant" && module.declarations.has(name)) return;
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(text.slice(0, node.start))?.[1] ?? "";
  module.declarations.set(name, {
    name,
    kind,
    doc: prose(comment),
    code: codeOf(text.slice(node.start, node.end)),
    module,
  });
}

/** The declaration of a local name of a module, in whichever it is. */
function find(modules, module, name) {
  const own = module.declarations.get(name);
  if (own !== undefined) return own;
  const imported = module.imports.get(name);
  const there = modules.get(imported?.from);
  return there === undefined ? undefined : find(modules, there, there.exports.get(imported.name));
}

/** All that declarations name, and what that names. */
function reached(modules, declarations, shown) {
  const found = [];
  const look = ({ code, module }) => {
    // Names in comments are no use of them.
    const names = code.replaceAll(/\/\*[\s\S]*?\*\//g, "").matchAll(/\b[A-Z]\w*/g);
    for (const [name] of names) {
      const one = find(modules, module, name);
      if (one === undefined || shown.has(one)) continue;
      shown.add(one);
      found.push(one);
      look(one);
    }
  };
  for (const declaration of declarations) look(declaration);
  return found;
}

function section(name, { kind, doc, code }, level = "##") {
  const heading = `${level} ${name}`;
  const body = [heading, ...(doc === "" ? [] : [doc]), `\`\`\`ts\n${code}\n\`\`\``].join("\n\n");
  return { kind, name, text: body };
}

function bySection(one, other) {
  return order.indexOf(one.kind) - order.indexOf(other.kind) || (one.name < other.name ? -1 : 1);
}

/** A declaration without what is nobody's but its own: objects that a client gives are made and started by it. */
function codeOf(text) {
  const own =
    "#private|(?:private|protected) [^;]*|constructor\\((?:client|api): Client[^;]*|static start\\([^]*?Promise<\\w+>";
  const comment = "(?:/\\*\\*(?:(?!\\*/)[^])*\\*/\\s*)?";
  return text
    .replace(/^declare /, "")
    .replace(/ implements \w+\$\d+/, "")
    .replaceAll(new RegExp(`\\n\\s*${comment}(?:${own});`, "g"), "");
}

/** A doc comment as Markdown. */
function prose(comment) {
  return comment
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trimEnd())
    .join("\n")
    .trim()
    .replaceAll(/(?<=\S)\s+(?=@\w)/g, "\n\n")
    .replaceAll(/^@throws /gm, "Throws ")
    .replaceAll(/^@returns /gm, "Gives ")
    .replaceAll(/^@param (\w+) /gm, "`$1`: ");
}
