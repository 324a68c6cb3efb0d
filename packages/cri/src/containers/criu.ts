import { HullError, unknown } from "@hull/errors";
import { startProgram, which } from "@hull/sys/program";
import type { CriConfig } from "../config.ts";
import { wrapped } from "../wrap.ts";

/** The oldest CRIU that can do it: 3.16. */
const oldest = 31_600;

/** Looks for a CRIU that can do it. @throws Unknown if there is none, or it is switched off; `what` comes before the reason */
export async function requireCriu(config: Pick<CriConfig["runtime"], "enable_criu">, what: string): Promise<void> {
  if (!config.enable_criu) throw unknown(`${what}: criu support is disabled by configuration`);
  const program = which("criu");
  if (program === null) throw unknown(`${what}: criu binary not found in shim path or system PATH`);
  let text: string;
  try {
    const child = startProgram([program, "--version"], { stdio: ["ignore", "pipe", "ignore"] });
    text = await new Response(child.stdout).text();
  } catch (error) {
    throw wrapped(`${what}: failed to retrieve criu version`, HullError.from(error));
  }
  const [, major = "0", minor = "0", sub = "0"] = /Version: (\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  const version = Number(major) * 10_000 + Number(minor) * 100 + Number(sub);
  if (version < oldest)
    throw unknown(`${what}: checkpoint/restore requires at least CRIU ${oldest}, current version is ${version}`);
}
