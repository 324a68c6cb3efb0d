import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { renderTemplate } from "./template.ts";

const values = { PodCIDR: "10.1.0.0/24", PodCIDRRanges: ["10.1.0.0/24", "fd00::/64"], Routes: ["0.0.0.0/0", "::/0"] };

describe("templates of network configurations", () => {
  const cases: readonly [string, string][] = [
    ['"subnet": "{{.PodCIDR}}"', '"subnet": "10.1.0.0/24"'],
    // From containerd's documentation.
    [
      '[{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}]',
      '[[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]',
    ],
    [
      '[{{range $i, $route := .Routes}}{{if $i}}, {{end}}{"dst": "{{$route}}"}{{end}}]',
      '[{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]',
    ],
    ["{{range .Routes}}<{{.}}>{{end}}", "<0.0.0.0/0><::/0>"],
    ["{{range $r := .Routes}}{{$r}} {{end}}", "0.0.0.0/0 ::/0 "],
    ["a {{- /* nobody reads this */ -}} b", "ab"],
    ["{{ if .PodCIDR }}yes{{ else }}no{{ end }}", "yes"],
    ["x {{- .PodCIDR -}} y", "x10.1.0.0/24y"],
    ["{{.Routes}}", "[0.0.0.0/0 ::/0]"],
  ];
  for (const [template, text] of cases) test(template, () => expect(renderTemplate(template, values)).toBe(text));

  test("an empty list renders what stands behind else", () => {
    const text = renderTemplate("{{range .Routes}}{{.}}{{else}}none{{end}}", { ...values, Routes: [] });
    expect(text).toBe("none");
  });

  const refused: readonly [string, string][] = [
    ["{{.Other}}", 'can\'t evaluate field "Other"'],
    ['{{printf "%s" .PodCIDR}}', '"{{printf "%s" .PodCIDR}}" is not supported'],
    ["{{range .Routes}}", 'has no "{{end}}"'],
    ["{{end}}", '"{{end}}" without a beginning'],
    ["{{$x}}", 'undefined variable "$x"'],
    ["{{range .PodCIDR}}{{end}}", "range can't iterate"],
    ["a {{.PodCIDR", '"{{" is not closed'],
    ["{{.}}", "all values together"],
  ];
  for (const [template, text] of refused)
    test(`refused: ${template}`, () => expect(() => renderTemplate(template, values)).toThrow(text));

  test("text without actions comes through, and nothing breaks the reader", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (!text.includes("{{")) expect(renderTemplate(text, values)).toBe(text);
      }),
    );
    const parts = fc.constantFrom(
      "{{",
      "}}",
      "range ",
      "if ",
      "else",
      "end",
      ".Routes",
      ".",
      "$i",
      ", ",
      ":= ",
      "-",
      "/*",
      "*/",
      " x ",
    );
    fc.assert(
      fc.property(fc.array(parts), (some) => {
        try {
          renderTemplate(some.join(""), values);
        } catch (error) {
          expect(error).toMatchObject({ code: "invalidArgument" });
        }
      }),
    );
  });
});
