/**
 * What the language has and Node 20 hasn't: taken in place of the globals where a published file uses them, the runtime's own where it has
 * one. Source: ECMAScript, Promise.withResolvers; the proposal "Explicit Resource Management", DisposableStack and AsyncDisposableStack.
 */

interface Resolvers<T> {
  promise: Promise<T>;
  resolve: (value: T | PromiseLike<T>) => void;
  reject: (reason?: unknown) => void;
}

/** Promise.withResolvers. */
export function withResolvers<T>(): Resolvers<T> {
  let resolve: Resolvers<T>["resolve"] | undefined;
  let reject: Resolvers<T>["reject"] | undefined;
  const promise = new Promise<T>((one, other) => {
    resolve = one;
    reject = other;
  });
  return { promise, resolve: resolve as Resolvers<T>["resolve"], reject: reject as Resolvers<T>["reject"] };
}

type Undo = () => unknown;

/** What to do at the end, the last first; what one throws is told when all are done. */
abstract class Undos {
  disposed = false;
  #undos: Undo[] = [];

  adopt<T>(value: T, undo: (value: T) => unknown): T {
    this.defer(() => undo(value));
    return value;
  }

  defer(undo: Undo): void {
    this.requireOpen();
    this.#undos.push(undo);
  }

  protected requireOpen(): void {
    if (this.disposed) throw new ReferenceError("the stack has been disposed of");
  }

  /** Hands over what there is to do, the last first, to be done by the caller alone. */
  protected take(): Undo[] {
    this.disposed = true;
    return this.#undos.splice(0).reverse();
  }

  protected moveTo<S extends Undos>(other: S): S {
    this.requireOpen();
    other.#undos = this.take().reverse();
    return other;
  }
}

function both(error: unknown, suppressed: { error: unknown } | undefined): { error: unknown } {
  if (suppressed === undefined) return { error };
  const all = new Error("an error was suppressed while disposing");
  return { error: Object.assign(all, { name: "SuppressedError", error, suppressed: suppressed.error }) };
}

class OwnDisposableStack extends Undos {
  use<T extends Disposable | null | undefined>(value: T): T {
    this.requireOpen();
    if (value !== null && value !== undefined) this.defer(() => value[Symbol.dispose]());
    return value;
  }

  move(): OwnDisposableStack {
    return this.moveTo(new OwnDisposableStack());
  }

  dispose(): void {
    let failed: { error: unknown } | undefined;
    for (const undo of this.take()) {
      try {
        undo();
      } catch (error) {
        failed = both(error, failed);
      }
    }
    if (failed !== undefined) throw failed.error;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class OwnAsyncDisposableStack extends Undos {
  use<T extends AsyncDisposable | Disposable | null | undefined>(value: T): T {
    this.requireOpen();
    if (value === null || value === undefined) return value;
    if (Symbol.asyncDispose in value) this.defer(() => value[Symbol.asyncDispose]());
    else this.defer(() => value[Symbol.dispose]());
    return value;
  }

  move(): OwnAsyncDisposableStack {
    return this.moveTo(new OwnAsyncDisposableStack());
  }

  async disposeAsync(): Promise<void> {
    let failed: { error: unknown } | undefined;
    for (const undo of this.take()) {
      try {
        await undo();
      } catch (error) {
        failed = both(error, failed);
      }
    }
    if (failed !== undefined) throw failed.error;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}

type Globals = { DisposableStack?: unknown; AsyncDisposableStack?: unknown };
// By name: the globals themselves are replaced by these.
const globals = globalThis as Globals;

export const DisposableStack = (globals.DisposableStack ?? OwnDisposableStack) as typeof OwnDisposableStack;
export const AsyncDisposableStack = (globals.AsyncDisposableStack ??
  OwnAsyncDisposableStack) as typeof OwnAsyncDisposableStack;
export { OwnAsyncDisposableStack, OwnDisposableStack };
