import manifest from "../package.json" with { type: "json" };

/** The commit it was built from; only the executable knows it. */
declare const HULL_REVISION: string | undefined;

export const version: string = manifest.version;
export const revision: string = typeof HULL_REVISION === "undefined" ? "" : HULL_REVISION;
