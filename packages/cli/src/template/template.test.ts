import { describe, expect, test } from "bun:test";
import { HullError } from "@hull/errors";
import fc from "fast-check";
import { compileTemplate } from "./index.ts";

const container = {
  Name: "/web",
  State: { Status: "running", Pid: 12, Running: true },
  Config: { Env: ["A=1", "B=2"], Labels: { "a.b": "c", app: "web" } },
  Mounts: [] as unknown[],
  Ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] },
};
const render = (template: string): string => compileTemplate(template)(container);

describe("as docker's users write them", () => {
  test.each([
    ["{{.Name}}", "/web"],
    ["{{.State.Pid}}:{{.State.Running}}", "12:true"],
    ["{{json .State}}", '{"Status":"running","Pid":12,"Running":true}'],
    ["{{.State | json}}", '{"Status":"running","Pid":12,"Running":true}'],
    ["{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"],
    ["{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "],
    ["{{range .Mounts}}x{{else}}none{{end}}", "none"],
    ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
    ['{{if .Mounts}}m{{else if eq .State.Status "running"}}r{{else}}-{{end}}', "r"],
    ["{{with .State}}{{.Pid}} {{$.Name}}{{end}}", "12 /web"],
    ['{{index .Config.Labels "a.b"}}', "c"],
    ['{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"],
    ["{{range $p, $c := .Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}", "80/tcp -> 8080"],
    ['{{join .Config.Env ","}}', "A=1,B=2"],
    ["{{upper .State.Status}} {{len .Config.Env}}", "RUNNING 2"],
    ['{{printf "%-5s|%03d|%q" .Name .State.Pid "x"}}', '/web | 12|"x"'],
    ["a {{- .Name -}} b", "a/webb"],
    ["{{/* nothing */}}x", "x"],
    ["{{.Config.Labels}}", "map[a.b:c app:web]"],
    ["{{.Config.Labels.none}}", "<no value>"],
    ["{{$x := .State.Pid}}{{$x}}", "12"],
    ["{{not .State.Running}} {{and 1 0}} {{or 0 3}}", "false 0 3"],
    ["{{`raw }}`}}", "raw }}"],
  ])("%s", (template, shown) => {
    expect(render(template)).toBe(shown);
  });

  test.each([
    ["{{.Nme}}", 'no field "Nme"'],
    ["{{.State", "isn't closed"],
    ["{{if .Name}}", "{{end}} is missing"],
    ["{{end}}", "unexpected {{end}}"],
    ["{{nothing .Name}}", '"nothing" is not defined'],
    ["{{.Name | .Name}}", "must be a function"],
    ["{{}}", "empty"],
    ["{{$y}}", "not defined"],
    ["{{(.Name}}", '")" is missing'],
  ])("%s is refused", (template, why) => {
    expect(() => render(template)).toThrow(why);
  });
});

test("any text is a template or an error of ours", () => {
  const part = fc.oneof(
    fc.string(),
    fc.constantFrom("{{", "}}", ".Name", "range ", "if ", "end", "|", "(", '"', "json "),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      try {
        compileTemplate(parts.join(""))(container);
      } catch (error) {
        expect(error).toBeInstanceOf(HullError);
      }
    }),
  );
});
