import { expect, test } from "bun:test";
import { encodeJsonAny, jsonTypes } from "@hull/api/typeurl";
import { LocalEventExchange } from "@hull/engine/events/exchange";
import { writeMetrics } from "./exposition.ts";
import { PullMetrics } from "./pulls.ts";

test("pulls are counted by how they end, and what they received by how fast it came", () => {
  const events = new LocalEventExchange();
  const metrics = new PullMetrics(events);
  const tell = (phase: string, received = 0) =>
    events.publish(
      { namespace: "k8s.io" },
      "/image-pulls/progress",
      encodeJsonAny(jsonTypes.imagePull, { name: "a", phase, received, startedAt: Date.now() - 1000 }),
    );
  const lines = () =>
    writeMetrics(metrics.collect())
      .split("\n")
      .filter((line) => !line.startsWith("#") && !line.includes("_bucket") && !line.includes("_sum"))
      .map((line) => line.replace("containerd_cri_sandboxed_", ""));
  const idle = ["image_pulling_throughput_count 0", "image_pulling_throughput_mibps_count 0"];
  expect(lines()).toEqual([...idle, "in_progress_image_pulls_total 0", ""]);
  tell("waiting");
  tell("waiting");
  tell("pulling", 5);
  expect(lines()).toEqual([...idle, "in_progress_image_pulls_total 2", ""]);
  tell("done", 2 ** 24);
  tell("failed");
  tell("waiting");
  tell("done");
  events.publish({ namespace: "k8s.io" }, "/other", { typeUrl: "x", value: new Uint8Array() });
  expect(lines()).toEqual([
    "image_pulling_throughput_count 1",
    "image_pulling_throughput_mibps_count 1",
    'image_pulls_total{status="success"} 2',
    'image_pulls_total{status="failure"} 1',
    "in_progress_image_pulls_total 0",
    "",
  ]);
  const between = /mibps_bucket\{le="10"\} 0\n.*mibps_bucket\{le="25"\} 1\n/;
  expect(writeMetrics(metrics.collect())).toMatch(between);
});
