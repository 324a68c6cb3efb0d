/**
 * The newest release of containerd whose API hull serves. Clients choose by it what they ask for: nerdctl, for instance, warns of
 * everything older than 1.6 that input without a terminal does not end.
 */
const served = "2.3.0";

/**
 * What hull of a version tells containerd's clients as its version: that release, with hull's own as build metadata, which comparisons
 * ignore (semver 2.0.0, section 10).
 */
export const releaseOf = (version: string): string => `${served}+hull.${version}`;
