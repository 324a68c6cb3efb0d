import { parseFilter, type Selector } from "./parser.ts";
import { compilePattern } from "./pattern.ts";

/**
 * Filters: which records of a list a client wants. A record matches if it matches any of the filters; a filter matches if all of
 * its selectors do. No filter, or an empty one, matches everything.
 *
 *   filters ──compileFilters(adaptor)──► (record) => boolean
 *
 * Grammar: `parser.ts`; what a record offers: `adaptors.ts`.
 */

/** The value of a record's field; undefined if it has no such field. */
export type Adaptor<T> = (record: T, path: readonly string[]) => string | undefined;

/**
 * Compiles filters once, to be asked for many records.
 * @throws InvalidArgument if one doesn't parse
 */
export function compileFilters<T>(filters: readonly string[], adaptor: Adaptor<T>): (record: T) => boolean {
  const alternatives = filters.map((filter) =>
    parseFilter(filter).map((selector) => compileSelector(selector, adaptor)),
  );
  if (alternatives.length === 0) return () => true;
  return (record) => alternatives.some((selectors) => selectors.every((matches) => matches(record)));
}

/**
 * The values that `field` has in every record that can match, if the filters say so: each names one by `field==value`. Undefined: any.
 * @throws InvalidArgument if a filter doesn't parse
 */
export function valuesAsked(filters: readonly string[], field: string): string[] | undefined {
  const values = filters.map(
    (filter) =>
      parseFilter(filter).find(({ path, operator }) => operator === "==" && path.length === 1 && path[0] === field)
        ?.value,
  );
  return values.length > 0 && values.every((value) => value !== undefined) ? values : undefined;
}

/**
 * A label for each filter, if the filters say so: only records with one of these labels can match. Undefined: any can.
 * @throws InvalidArgument if a filter doesn't parse
 */
export function labelsAsked(filters: readonly string[]): string[] | undefined {
  const names = filters.map((filter) => {
    const asked = parseFilter(filter).find(
      ({ path, operator }) => path[0] === "labels" && path.length > 1 && (operator === "==" || operator === "present"),
    );
    return asked?.path.slice(1).join(".");
  });
  return names.length > 0 && names.every((name) => name !== undefined) ? names : undefined;
}

function compileSelector<T>({ path, operator, value }: Selector, adaptor: Adaptor<T>): (record: T) => boolean {
  switch (operator) {
    case "present":
      return (record) => adaptor(record, path) !== undefined;
    case "==":
      return (record) => adaptor(record, path) === value;
    case "!=":
      // An absent field counts as an empty one, here and for patterns.
      return (record) => (adaptor(record, path) ?? "") !== value;
    case "~=": {
      const matches = compilePattern(value);
      return (record) => matches(adaptor(record, path) ?? "");
    }
  }
}
