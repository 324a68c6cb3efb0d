import { heapStats } from "bun:jsc";
import { HullError, isCode } from "@hull/errors";
import { type LevelLogger, parseLogLevel } from "../log.ts";
import type { RunningCalls } from "./calls.ts";
import { cpuProfile } from "./cpu.ts";
import { heapClasses, heapProfile, heapText } from "./heap.ts";
import { ProfileBuilder } from "./profile.ts";

/** Profiles of Go that have no counterpart, and why. */
const absent: Readonly<Record<string, string>> = {
  block: "nothing waits for locks in hull: it runs on one thread, by events",
  mutex: "nothing waits for locks in hull: it runs on one thread, by events",
  threadcreate: "the threads of hull are its runtime's, which doesn't tell where it made them",
  trace: "JavaScriptCore records no execution trace",
  symbol: "hull's profiles have the names of functions in them",
};

/** What can be had below /debug, with the line of the index. */
const pages: Readonly<Record<string, string>> = {
  "/debug/pprof/profile?seconds=30": "CPU profile",
  "/debug/pprof/heap": "objects by class (?debug=1 as text)",
  "/debug/pprof/allocs": "the same as heap",
  "/debug/pprof/goroutine?debug=1": "calls that are running",
  "/debug/pprof/cmdline": "the daemon's command line",
  "/debug/heapsnapshot": "heap snapshot for the developer tools of Chrome",
  "/debug/vars": "memory and command line as JSON",
  "/debug/level": "level of the log; PUT another one",
};

type Page = (request: Request, url: URL) => Response | Promise<Response>;

/** Longest CPU profile, s. */
const longestProfile = 3600;

/** Answers what is asked of the debug socket. */
export function debugHandler(calls: RunningCalls, log: LevelLogger): (request: Request) => Promise<Response> {
  const heap: Page = (_, url) => {
    const classes = heapClasses();
    return wantsText(url) ? text(heapText(classes)) : binary(heapProfile(classes), "heap");
  };
  const served: Readonly<Record<string, Page>> = {
    "/debug/pprof/": () =>
      text(
        Object.entries(pages)
          .map(([path, what]) => `${path.padEnd(34)} ${what}\n`)
          .join(""),
      ),
    "/debug/pprof/cmdline": () => text(process.argv.join("\0")),
    "/debug/pprof/heap": heap,
    "/debug/pprof/allocs": heap,
    "/debug/pprof/goroutine": (_, url) =>
      wantsText(url) ? text(callsText(calls)) : binary(callsProfile(calls), "goroutine"),
    "/debug/pprof/profile": async (request, url) => {
      const seconds = Number(url.searchParams.get("seconds") ?? 30);
      if (!(seconds > 0 && seconds <= longestProfile))
        return text(`"seconds" must be from 1 to ${longestProfile}\n`, 400);
      return binary(await cpuProfile(seconds * 1000, request.signal), "profile");
    },
    "/debug/heapsnapshot": () => binary(new TextEncoder().encode(Bun.generateHeapSnapshot("v8")), "hull.heapsnapshot"),
    "/debug/vars": () => Response.json(variables(), { headers: { "content-type": "application/json; charset=utf-8" } }),
    "/debug/level": async (request) => await level(request, log),
  };
  return async (request) => {
    const url = new URL(request.url);
    const [, profile = ""] = /^\/debug\/pprof\/(\w+)$/.exec(url.pathname) ?? [];
    const why = absent[profile];
    if (why !== undefined) return text(`hull has no profile "${profile}": ${why}\n`, 501);
    const page = served[url.pathname];
    if (page === undefined) return text("404 page not found\n", 404);
    try {
      return await page(request, url);
    } catch (thrown) {
      return text(`${HullError.from(thrown).message}\n`, isCode(thrown, "resourceExhausted") ? 429 : 500);
    }
  };
}

async function level(request: Request, log: LevelLogger): Promise<Response> {
  if (request.method === "GET") return text(`${log.level}\n`);
  if (request.method !== "PUT" && request.method !== "POST") return text("GET it or PUT another one\n", 405);
  try {
    const wanted = parseLogLevel((await request.text()).trim());
    log.log("info", "the level of the log is changed", { from: log.level, to: wanted });
    log.level = wanted;
    return text(`${wanted}\n`);
  } catch (thrown) {
    return text(`${HullError.from(thrown).message}\n`, 400);
  }
}

function callsText(calls: RunningCalls): string {
  const now = performance.now();
  const lines = calls.all.map(
    ({ method, namespace, since }, index) =>
      `call ${index + 1} [running, ${((now - since) / 1000).toFixed(3)} s]: namespace "${namespace}"\n${method}\n`,
  );
  return [`hull has no goroutines; calls that are running: ${lines.length}\n`, ...lines].join("\n");
}

function callsProfile(calls: RunningCalls): Uint8Array<ArrayBuffer> {
  const builder = new ProfileBuilder([["calls", "count"]]);
  for (const { method } of calls.all) builder.add([{ name: method }], [1]);
  return builder.finish({ period: { kind: ["calls", "count"], value: 1 } });
}

/** As Go's expvar: what of `memstats` has a counterpart, under its name. */
function variables(): object {
  const { heapSize, heapCapacity, objectCount, extraMemorySize } = heapStats();
  return {
    cmdline: process.argv,
    memstats: {
      Alloc: heapSize,
      HeapAlloc: heapSize,
      HeapSys: heapCapacity,
      HeapObjects: objectCount,
      OtherSys: extraMemorySize,
      Sys: process.memoryUsage.rss(),
    },
  };
}

const wantsText = (url: URL): boolean => Number(url.searchParams.get("debug") ?? 0) > 0;

const text = (body: string, status = 200): Response =>
  new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });

const binary = (body: Uint8Array<ArrayBuffer>, name: string): Response =>
  new Response(body, {
    headers: { "content-type": "application/octet-stream", "content-disposition": `attachment; filename="${name}"` },
  });
