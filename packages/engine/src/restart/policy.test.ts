import { describe, expect, test } from "bun:test";
import { isCode } from "@hull/errors";
import fc from "fast-check";
import { isToRestart, parseRestartPolicy, restartLabels } from "./policy.ts";

const labels = (policy: string, more: Record<string, string> = {}): Record<string, string> => ({
  [restartLabels.policy]: policy,
  ...more,
});

describe("restart policies", () => {
  test("are read as containerd reads them", () => {
    expect(parseRestartPolicy("")).toEqual({ name: "always", maximumRetries: 0 });
    expect(parseRestartPolicy("no")).toEqual({ name: "no", maximumRetries: 0 });
    expect(parseRestartPolicy("on-failure")).toEqual({ name: "on-failure", maximumRetries: 0 });
    expect(parseRestartPolicy("on-failure:10")).toEqual({ name: "on-failure", maximumRetries: 10 });
    // The texts are those of containerd's restart package.
    expect(() => parseRestartPolicy("always:3")).toThrow('restart policy "always" not support max retry count');
    expect(() => parseRestartPolicy("on-failure:x")).toThrow("invalid max retry count: x");
    expect(() => parseRestartPolicy("sometimes")).toThrow('restart policy "sometimes" not supported');
  });

  test("decide by exit status, count and whether a person stopped it", () => {
    expect(isToRestart({}, 0)).toBe(true);
    expect(isToRestart(labels("no"), 1)).toBe(false);
    expect(isToRestart(labels("always", { [restartLabels.explicitlyStopped]: "true" }), 0)).toBe(true);
    expect(isToRestart(labels("unless-stopped"), 0)).toBe(true);
    expect(isToRestart(labels("unless-stopped", { [restartLabels.explicitlyStopped]: "false" }), 0)).toBe(true);
    expect(isToRestart(labels("unless-stopped", { [restartLabels.explicitlyStopped]: "true" }), 0)).toBe(false);
    expect(isToRestart(labels("on-failure"), 0)).toBe(false);
    expect(isToRestart(labels("on-failure"), 1)).toBe(true);
    expect(isToRestart(labels("on-failure:2", { [restartLabels.count]: "1" }), 1)).toBe(true);
    expect(isToRestart(labels("on-failure:2", { [restartLabels.count]: "2" }), 1)).toBe(false);
  });

  test("any text is a policy or InvalidArgument", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `on-failure:${text}`),
        ),
        (text) => {
          try {
            expect(Number.isSafeInteger(parseRestartPolicy(text).maximumRetries)).toBe(true);
          } catch (error) {
            expect(isCode(error, "invalidArgument")).toBe(true);
          }
        },
      ),
    );
  });
});
