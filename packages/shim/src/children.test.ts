import { expect, test } from "bun:test";
import { scannedChildren } from "./children.ts";

test("children are found without the kernel's list of them", async () => {
  const child = Bun.spawn(["sleep", "1000"]);
  try {
    expect(scannedChildren()).toContain(child.pid);
    expect(scannedChildren()).not.toContain(process.pid);
    expect(scannedChildren()).not.toContain(process.ppid);
  } finally {
    child.kill("SIGKILL");
    // Children of another test in this process may have reaped it by now.
    await child.exited.catch(() => undefined);
  }
});
