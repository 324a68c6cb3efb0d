import { configTable, duration, integer, text } from "../plugin/config.ts";
import { definePlugin } from "../plugin/index.ts";
import { pluginTypes } from "../plugin/types.ts";
import { type ImageVerifier, ProgramVerifier } from "./index.ts";

export const imageVerifierPlugin = definePlugin({
  type: pluginTypes.imageVerifier,
  id: "bindir",
  requires: [],
  config: configTable({
    bin_dir: text(
      "/opt/containerd/image-verifier/bin",
      "Directory of programs that each have to allow an image before it is pulled; all are allowed if it isn't there",
    ),
    max_verifiers: integer(10, "So many of the programs are asked, in the order of their names; -1: all", { min: -1 }),
    per_verifier_timeout: duration("10s", "How long one of the programs may take"),
  }),
  start: ({ config, log }): ImageVerifier =>
    new ProgramVerifier({
      directory: config.bin_dir,
      max: config.max_verifiers,
      timeout: config.per_verifier_timeout,
      logger: log,
    }),
});
