import { describe, expect, test } from "bun:test";
import { deprecatedSettings } from "./catalogue.ts";
import { Warnings } from "./index.ts";

describe("warnings", () => {
  test("each is told once, with its last occurrence", () => {
    const warnings = new Warnings();
    warnings.emit("cri-registry-mirrors");
    warnings.emit("cri-registry-mirrors");
    expect(warnings.list().map(({ id, message }) => [id, message])).toEqual([
      [
        "io.containerd.deprecation/cri-registry-mirrors",
        'The `mirrors` property of `[plugins."io.containerd.grpc.v1.cri".registry]` is deprecated since containerd v1.5 and will be removed in containerd v2.1.Use `config_path` instead.',
      ],
    ]);
  });

  test("settings are found where they are set, and only there", () => {
    expect(deprecatedSettings({})).toEqual([]);
    expect(
      deprecatedSettings({ "io.containerd.cri.v1.images": { registry: { config_path: "/x", mirrors: {} } } }),
    ).toEqual([]);
    expect(
      deprecatedSettings({
        "io.containerd.cri.v1.images": { registry: { mirrors: { "docker.io": {} }, auths: { x: {} } } },
        "io.containerd.tracing.processor.v1.otlp": { endpoint: "http://localhost:1" },
      }),
    ).toEqual(["cri-registry-mirrors", "cri-registry-auths", "tracing-processor-config"]);
  });
});
