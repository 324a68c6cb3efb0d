import { expect, test } from "bun:test";
import { lastWords } from "./last-words.ts";

test("of what a program says the end is kept", async () => {
  const chunks = ["x".repeat(20_000), "first\n", "last\n"];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(Buffer.from(chunk));
    },
  });
  const words = await lastWords(stream);
  expect(words).toEndWith("xfirst\nlast");
  expect(words.length).toBe(8191);
});
