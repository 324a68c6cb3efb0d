import type { Host, Program } from "./index.ts";

export const host: Host = {
  startProgram: (argv, { stdio, ...options }) => {
    const [stdin = "ignore", stdout = "ignore", stderr = "ignore", ...others] = stdio;
    type Stdio = Parameters<typeof Bun.spawn>[1] extends { stdio?: infer S } | undefined ? S : never;
    return Bun.spawn([...argv], {
      ...options,
      stdio: [stdin, stdout, stderr, ...others] as unknown as Stdio,
    }) as unknown as Program;
  },
  which: (name) => Bun.which(name),
  hash32: (text, seed) => Bun.hash.xxHash32(text, seed),
};
