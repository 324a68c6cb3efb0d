/** Go's names of this host's processor. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The platform that this host runs, as introspection shows it: `linux/amd64`. */
export const hostPlatform = `linux/${architectures[process.arch] ?? process.arch}`;
