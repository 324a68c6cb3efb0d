/** What a repository's `ci.ts` exports by default: `export default pipeline({ steps: { … } })`. */
export interface Pipeline {
  readonly steps: Readonly<Record<string, Step>>;
}

export interface Step {
  readonly image: string;
  /** Run by `sh -e` in `/src`, where a copy of the repository is, with the artifacts of the steps that it needs. */
  readonly script: string;
  /** Steps that have to pass before; those that need nothing of each other run at the same time. */
  readonly needs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What runs beside it, reached at 127.0.0.1. */
  readonly services?: Readonly<Record<string, Service>>;
  /** Files and folders that are kept when it passes. */
  readonly artifacts?: readonly string[];
  /** Seconds: 600 unless told. */
  readonly timeout?: number;
  /** Bytes: 1 GiB unless told. */
  readonly memory?: number;
}

export interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command in the service that succeeds once it can be used; asked again until then, for 30 s. */
  readonly ready?: readonly string[];
}

/**
 * A pipeline, checked.
 * @throws TypeError for a step that needs one which isn't there, or itself
 */
export function pipeline(definition: Pipeline): Pipeline {
  const { steps } = definition;
  const reached = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    if (way.includes(name)) throw new TypeError(`steps need each other: ${[...way, name].join(", ")}`);
    if (reached.has(name)) return;
    const step = steps[name];
    if (step === undefined) throw new TypeError(`step "${way.at(-1)}" needs "${name}", which there is none of`);
    for (const needed of step.needs ?? []) visit(needed, [...way, name]);
    reached.add(name);
  };
  for (const name of Object.keys(steps)) visit(name, []);
  return definition;
}
