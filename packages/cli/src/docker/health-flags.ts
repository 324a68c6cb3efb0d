import { defineFlags } from "../command/index.ts";

/** Flags of `run` and `create` that say how the container's health is checked. */
export const healthFlags = defineFlags({
  "health-cmd": { kind: "text", value: "COMMAND", summary: "Run now and then in it, by its shell: 0 is healthy" },
  "health-interval": { kind: "duration", value: "TIME", summary: "Between checks; 30s" },
  "health-timeout": { kind: "duration", value: "TIME", summary: "What a check may take; 30s" },
  "health-retries": { kind: "integer", value: "NUMBER", summary: "So many that fail in a row make it unhealthy; 3" },
  "health-start-period": {
    kind: "duration",
    value: "TIME",
    summary: "In which it starts, and checks that fail don't count; 0s",
  },
  "health-start-interval": { kind: "duration", value: "TIME", summary: "Between checks while it starts; 5s" },
  "no-healthcheck": { kind: "switch", summary: "No check, whatever the image says" },
});
