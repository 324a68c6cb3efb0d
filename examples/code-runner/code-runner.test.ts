/** The service as it is started, under Node and Bun, and its page in a browser. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { node } from "../../test/support/node.ts";
import { startServer } from "../../test/support/process.ts";
import { lacking, openPlace } from "../support.ts";

const program = join(import.meta.dir, "main.ts");
const chromium = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
const runtimes = [
  { name: "Bun", command: process.execPath },
  { name: "Node", command: node },
].filter(({ command }) => command !== undefined);

async function start(runtime: string | undefined) {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await openPlace());
  const server = stack.use(
    await startServer([runtime ?? "", program, "0"], /http:\S+/, {
      env: { HULL_ADDRESS: place.address, NODE_NO_WARNINGS: "1" },
    }),
  );
  const url = /http:\S+/.exec(server.log())?.[0] ?? "";
  const kept = stack.move();
  return { url, hull: place.hull, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Data of the events that a program led to. */
async function run(
  url: string,
  language: string,
  code: string,
  input = "",
): Promise<[event: string, data: Record<string, unknown>][]> {
  const response = await fetch(`${url}run`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ language, code, input }),
  });
  expect(response.status).toBe(200);
  const blocks = (await response.text()).trimEnd().split("\n\n");
  return blocks.map((block) => {
    const [, event = "", data = ""] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
    return [event, JSON.parse(data)];
  });
}

const name = `a service that runs code${lacking === undefined ? "" : ` (skipped: ${lacking})`}`;
describe.if(lacking === undefined)(name, () => {
  for (const runtime of runtimes)
    test(`runs what is sent, and refuses what is wrong, under ${runtime.name}`, async () => {
      await using service = await start(runtime.command);
      const events = await run(service.url, "awk", '{ print "got " $0 }', "one\ntwo\n");
      expect(events.map(([event]) => event).filter((event) => event !== "output")).toEqual([
        "waiting",
        "started",
        "end",
      ]);
      expect(events.flatMap(([event, { text }]) => (event === "output" ? [text] : [])).join("")).toBe(
        "got one\ngot two\n",
      );
      expect(events.at(-1)?.[1]).toMatchObject({ outcome: "exited", code: 0, truncated: false });
      expect((await run(service.url, "shell", "yes")).at(-1)?.[1]).toMatchObject({
        outcome: "output",
        truncated: true,
      });
      const post = (body: string, type = "application/json") =>
        fetch(`${service.url}run`, { method: "POST", headers: { "content-type": type }, body }).then(
          ({ status }) => status,
        );
      expect(
        await Promise.all([
          post("{}"),
          post("{"),
          post(JSON.stringify({ language: "shell", code: 1 })),
          post(JSON.stringify({ language: "shell", code: "x".repeat(70_000) })),
          post("code=1", "application/x-www-form-urlencoded"),
        ]),
      ).toEqual([400, 400, 400, 413, 415]);
      expect(await service.hull.containers.list()).toEqual([]);
    });

  const noBrowser = chromium === undefined ? " (skipped: needs Debian's chromium)" : "";
  test.skipIf(chromium === undefined)(`has a page that works in a browser${noBrowser}`, async () => {
    await using service = await start(runtimes.at(-1)?.command);
    const playwright = await import("playwright-core");
    const browser = await playwright.chromium.launch({ executablePath: chromium ?? "", args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
      const errors: string[] = [];
      page.on("pageerror", ({ message }) => errors.push(message));
      page.on("console", (message) => void (message.type() === "error" && errors.push(message.text())));
      await page.goto(service.url);
      await page.locator("#language option").nth(2).waitFor({ state: "attached" });
      expect(await page.textContent("#limits")).toContain("5 s, 64 MiB of memory, 8 MiB of files, 0.5 of a processor");

      // The sample's lines come one by one.
      await page.click("#run");
      await page.locator("#output", { hasText: "line 1" }).waitFor();
      expect(await page.textContent("#state")).toBe("running …");
      expect(await ended(page)).toBe("ended well");
      expect(await page.textContent("#output")).toBe("line 1\nline 2\nline 3\n");
      if (process.env.SCREENSHOT !== undefined) await page.screenshot({ path: process.env.SCREENSHOT });

      await page.fill("#code", "echo '<img src=x onerror=alert(1)>'; cat; echo oh no >&2; exit 3");
      await page.fill("#input", "from the page\n");
      await page.click("#run");
      expect(await ended(page)).toBe("ended with status 3");
      // Each piece that comes is an element of its own.
      const shown = async (stream: string) => (await page.locator(`#output .${stream}`).allTextContents()).join("");
      expect(await shown("stdout")).toBe("<img src=x onerror=alert(1)>\nfrom the page\n");
      expect(await shown("stderr")).toBe("oh no\n");
      if (process.env.SCREENSHOT !== undefined) await page.screenshot({ path: `${process.env.SCREENSHOT}.2.png` });

      await page.selectOption("#language", "awk");
      expect(await page.inputValue("#code")).toContain("squared");
      await page.click("#run");
      expect(await ended(page)).toBe("ended well");
      expect(await page.textContent("#output")).toContain("10 squared is 100");

      await page.selectOption("#language", "shell");
      await page.fill("#code", "echo up; while :; do sleep 1; done");
      await page.click("#run");
      await page.locator("#output", { hasText: "up" }).waitFor();
      await page.click("#stop");
      expect(await ended(page)).toBe("stopped");

      await page.fill("#code", "x=a; while :; do x=$x$x; done");
      await page.click("#run");
      expect(await ended(page)).toBe("out of memory");
      expect(await service.hull.containers.list()).toEqual([]);
      expect(errors).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

async function ended(page: Page): Promise<string | null> {
  await page.locator("#run:enabled").waitFor();
  return await page.textContent("#state");
}
