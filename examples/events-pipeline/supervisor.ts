import type { Hull, RunningContainer } from "@hull/client";

export interface Service {
  readonly image: string;
  readonly command: readonly string[];
  /** Bytes. */
  readonly memory?: number;
}

/** ms to wait before the first restart, doubled with each that follows at once. */
const firstDelay = 200;
const longestDelay = 30_000;
/** One that ran for so long, ms, was well. */
const well = 10_000;

/** The label by which events find their service. */
export const serviceLabel = "example.events-pipeline/service";

/** Keeps services running: what has ended is taken away, and started again after a while. */
export class Supervisor implements AsyncDisposable {
  readonly #hull: Hull;
  readonly #services: ReadonlyMap<string, Service>;
  readonly #running = new Map<string, { container: RunningContainer; service: string; since: number }>();
  readonly #delays = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #onFailure: (service: string, error: unknown) => void;
  #starting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    hull: Hull,
    services: Readonly<Record<string, Service>>,
    onFailure: (service: string, error: unknown) => void,
  ) {
    this.#hull = hull;
    this.#services = new Map(Object.entries(services));
    this.#onFailure = onFailure;
  }

  start(): void {
    for (const name of this.#services.keys()) this.#start(name);
  }

  /** The service that a container is of; undefined for anybody else's. */
  serviceOf(containerId: string): string | undefined {
    return this.#running.get(containerId)?.service;
  }

  /** A container has ended. @returns ms until its service is started again */
  async ended(containerId: string): Promise<number> {
    const found = this.#running.get(containerId);
    if (found === undefined) return 0;
    this.#running.delete(containerId);
    const { container, service, since } = found;
    await container[Symbol.asyncDispose]();
    const delay = Date.now() - since > well ? firstDelay : (this.#delays.get(service) ?? firstDelay);
    this.#delays.set(service, Math.min(delay * 2, longestDelay));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#start(service);
    }, delay);
    this.#timers.add(timer);
    return delay;
  }

  /** One after the other: an end is heard of by events, when the container is known here already. */
  #start(name: string): void {
    this.#starting = this.#starting.then(async () => {
      const service = this.#services.get(name);
      if (service === undefined || this.#closed) return;
      try {
        const id = `${name}-${crypto.randomUUID().slice(0, 8)}`;
        const options = {
          ...service,
          id,
          labels: { [serviceLabel]: name },
          stdout: "ignore",
          stderr: "ignore",
        } as const;
        const image = await this.#hull.images.find(service.image);
        const container = await this.#hull.run(image ?? service.image, options);
        this.#running.set(id, { container, service: name, since: Date.now() });
      } catch (error) {
        this.#onFailure(name, error);
      }
    });
  }

  /** Waits for what is being started. */
  settled(): Promise<void> {
    return this.#starting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#starting;
    await Promise.all([...this.#running.values()].map(({ container }) => container[Symbol.asyncDispose]()));
  }
}
