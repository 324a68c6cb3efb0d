/**
 * An image config as containerd shows it: the fields that its structures have, in their order, the empty ones left out.
 * Source: OCI image spec, config.md, section "Properties".
 */

type Json = Readonly<Record<string, unknown>>;

const platformFields = ["architecture", "os", "os.version", "os.features", "variant"] as const;
const defaultsFields = [
  "User",
  "ExposedPorts",
  "Env",
  "Entrypoint",
  "Cmd",
  "Volumes",
  "WorkingDir",
  "Labels",
  "StopSignal",
  "ArgsEscaped",
] as const;
const historyFields = ["created", "created_by", "author", "comment", "empty_layer"] as const;

/** @param config the parsed JSON of an image config */
export function shownImageSpec(config: unknown): Json {
  const from = objectOf(config);
  const rootfs = objectOf(from.rootfs);
  const history = Array.isArray(from.history) ? from.history : [];
  return {
    ...filled(from, ["created", "author"]),
    // Go's structure shows these two even if they are empty.
    architecture: "",
    os: "",
    ...filled(from, platformFields),
    config: filled(objectOf(from.config), defaultsFields),
    rootfs: { type: rootfs.type ?? "", diff_ids: rootfs.diff_ids ?? null },
    ...(history.length === 0 ? {} : { history: history.map((entry) => filled(objectOf(entry), historyFields)) }),
  };
}

function filled(from: Json, fields: readonly string[]): Json {
  return Object.fromEntries(fields.flatMap((field) => (isEmpty(from[field]) ? [] : [[field, from[field]]])));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
