/**
 * Templates as docker's `--format` takes them: the part of Go's text/template that is used there.
 *
 *   compileTemplate("{{.Name}}\t{{json .Labels}}") ──► (value) => string
 *
 * Actions: fields (`.State.Pid`, `.`, `$`), `range`/`else`/`end`, `if`/`else if`/`else`/`end`, `with`, variables (`$x := …`), pipes,
 * parentheses, comments, trimming (`{{-`, `-}}`). Functions: json, join, split, lower, upper, title, pad, truncate, println, print, printf
 * (%s %d %q %v), len, index, slice, and, or, not, eq, ne, lt, le, gt, ge.
 * The language: https://pkg.go.dev/text/template.
 */
export { compileTemplate, type Template } from "./compile.ts";
