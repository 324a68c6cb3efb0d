/** What stands in for a newer language in Node 20 does as the runtime's own. */
import { describe, expect, test } from "bun:test";
import { OwnAsyncDisposableStack, OwnDisposableStack, withResolvers } from "../../scripts/pack/stand-ins.ts";

/** What a stack does, and in which order. */
function traceOf(Stack: new () => DisposableStack): unknown[] {
  const trace: unknown[] = [];
  const first = new Stack();
  first.use({ [Symbol.dispose]: () => trace.push("used") });
  first.use(undefined);
  trace.push(first.adopt("value", (value) => trace.push(`adopted ${value}`)));
  first.defer(() => trace.push("deferred"));
  const second = first.move();
  trace.push(first.disposed, second.disposed);
  expect(() => first.defer(() => {})).toThrow(ReferenceError);
  second.dispose();
  second.dispose();
  trace.push(second.disposed);
  return trace;
}

/** What is thrown when undoing fails, once or twice. */
function failuresOf(Stack: new () => DisposableStack): unknown[] {
  return [1, 2].map((count) => {
    const stack = new Stack();
    for (let at = 0; at < count; at++)
      stack.defer(() => {
        throw new Error(`failure ${at}`);
      });
    try {
      stack.dispose();
    } catch (thrown) {
      const { name, message, error: last, suppressed } = thrown as SuppressedError;
      const told = (one: unknown) => (one instanceof Error ? one.message : undefined);
      return count === 1 ? message : [name, told(last), told(suppressed)];
    }
    return undefined;
  });
}

/** The same of the other stack. */
async function asyncTraceOf(Stack: new () => AsyncDisposableStack): Promise<unknown[]> {
  const trace: unknown[] = [];
  const stack = new Stack();
  stack.use({ [Symbol.dispose]: () => trace.push("at once") });
  stack.use({
    async [Symbol.asyncDispose]() {
      await Promise.resolve();
      trace.push("later");
    },
  });
  stack.use(null);
  stack.defer(async () => {
    await Promise.resolve();
    throw new Error("failed");
  });
  const moved = stack.move();
  await stack.disposeAsync();
  trace.push(await moved.disposeAsync().catch((error: Error) => error.message));
  return trace;
}

describe("what Node 20 lacks", () => {
  const Own = OwnDisposableStack as unknown as new () => DisposableStack;
  const OwnAsync = OwnAsyncDisposableStack as unknown as new () => AsyncDisposableStack;

  test("a stack undoes the last first, once, and hands on what it has", () => {
    expect(traceOf(Own)).toEqual(traceOf(DisposableStack));
  });

  test("what fails while undoing is told when all is undone", () => {
    expect(failuresOf(Own)).toEqual(failuresOf(DisposableStack));
  });

  test("the asynchronous one waits", async () => {
    expect(await asyncTraceOf(OwnAsync)).toEqual(await asyncTraceOf(AsyncDisposableStack));
  });

  test("a promise with its resolvers", async () => {
    const { promise, resolve } = withResolvers<number>();
    resolve(1);
    const failing = withResolvers<number>();
    failing.reject(new Error("no"));
    expect([await promise, await failing.promise.catch((error: Error) => error.message)]).toEqual([1, "no"]);
  });
});
