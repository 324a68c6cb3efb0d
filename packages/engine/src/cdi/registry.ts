import { lstatSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HullError, invalidArgument } from "@hull/errors";
import {
  applyEdits,
  type CdiDocument,
  type ContainerEdits,
  type HostDevice,
  joinEdits,
  parseCdiDocument,
} from "@hull/oci/cdi";
import type { Spec } from "@hull/oci/spec";
import { splitDevice } from "@hull/sys/files";
import type { DeviceRegistry } from "./index.ts";

/** A registry of the files in these directories, the later ones of which win. Nothing is read before the first call. */
export function openDeviceRegistry(directories: readonly string[]): DeviceRegistry {
  return new FileDeviceRegistry(directories);
}

interface SpecFile {
  readonly path: string;
  readonly priority: number;
  readonly document: CdiDocument;
}

interface KnownDevice {
  readonly file: SpecFile;
  readonly edits: ContainerEdits;
}

interface Contents {
  readonly files: readonly SpecFile[];
  readonly devices: ReadonlyMap<string, KnownDevice>;
  readonly problems: ReadonlyMap<string, readonly string[]>;
}

interface FoundFile {
  readonly path: string;
  readonly priority: number;
  /** Changes when the file does. */
  readonly stamp: string;
}

/** The largest file that is read, bytes. */
const maximumFile = 16 * 2 ** 20;

class FileDeviceRegistry implements DeviceRegistry {
  readonly #directories: readonly string[];
  #stamp: string | undefined;
  #contents: Contents = { files: [], devices: new Map(), problems: new Map() };

  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  async devices(): Promise<string[]> {
    return [...(await this.#refreshed()).devices.keys()].sort();
  }

  async vendors(): Promise<string[]> {
    const { files } = await this.#refreshed();
    return [...new Set(files.map(({ document }) => document.vendor))].sort();
  }

  async problems(): Promise<ReadonlyMap<string, readonly string[]>> {
    return (await this.#refreshed()).problems;
  }

  async inject(spec: Spec, names: readonly string[]): Promise<Spec> {
    if (names.length === 0) return spec;
    const { devices } = await this.#refreshed();
    const missing = names.filter((name) => !devices.has(name));
    if (missing.length > 0)
      throw invalidArgument(`CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
    const seen = new Set<SpecFile>();
    const edits = names.flatMap((name) => {
      const device = devices.get(name);
      if (device === undefined) return [];
      // What a file says for all of its devices comes once, before the first of them.
      const common = seen.has(device.file) ? [] : [device.file.document.edits];
      seen.add(device.file);
      return [...common, device.edits];
    });
    try {
      return applyEdits(spec, joinEdits(edits), hostDevice);
    } catch (error) {
      const why = HullError.from(error).message;
      throw invalidArgument(`CDI device injection failed: failed to inject devices: ${why}`, { cause: error });
    }
  }

  async #refreshed(): Promise<Contents> {
    const found = (await Promise.all(this.#directories.map(filesOf))).flat();
    const stamp = found.map((file) => `${file.path}\0${file.stamp}`).join("\0");
    if (stamp !== this.#stamp) {
      this.#contents = await load(found);
      this.#stamp = stamp;
    }
    return this.#contents;
  }
}

async function filesOf(directory: string, priority: number): Promise<FoundFile[]> {
  const names = await readdir(directory).catch(() => []);
  const files = names
    .filter((name) => /\.(json|yaml)$/.test(name))
    .sort()
    .map(async (name): Promise<FoundFile[]> => {
      const path = join(directory, name);
      const info = await stat(path).catch(() => undefined);
      if (info === undefined || info.isDirectory()) return [];
      return [{ path, priority, stamp: `${info.ino} ${info.size} ${info.mtimeMs} ${info.ctimeMs}` }];
    });
  return (await Promise.all(files)).flat();
}

async function load(found: readonly FoundFile[]): Promise<Contents> {
  const problems = new Map<string, string[]>();
  const complain = (path: string, problem: string): void => {
    problems.set(path, [...(problems.get(path) ?? []), problem]);
  };
  const files: SpecFile[] = [];
  for (const { path, priority } of found) {
    try {
      files.push({ path, priority, document: parseCdiDocument(await parsed(path)) });
    } catch (error) {
      complain(path, `failed to load CDI Spec "${path}": ${HullError.from(error).message}`);
    }
  }
  const devices = new Map<string, KnownDevice>();
  const conflicts = new Set<string>();
  for (const file of files) {
    const { vendor, class: kind, devices: own } = file.document;
    for (const [name, edits] of own) {
      const qualified = `${vendor}/${kind}=${name}`;
      const other = devices.get(qualified)?.file;
      if (other?.priority === file.priority) {
        const problem = `conflicting device "${qualified}" (specs "${file.path}", "${other.path}")`;
        for (const path of [file.path, other.path]) complain(path, problem);
        conflicts.add(qualified);
      } else {
        devices.set(qualified, { file, edits });
      }
    }
  }
  for (const name of conflicts) devices.delete(name);
  return { files, devices, problems };
}

async function parsed(path: string): Promise<unknown> {
  const bytes = await readFile(path);
  if (bytes.length > maximumFile) throw invalidArgument(`it is larger than ${maximumFile} bytes`);
  const text = bytes.toString("utf8");
  try {
    if (path.endsWith(".json")) return JSON.parse(text) as unknown;
    // Loaded when there is such a file: most hosts have none.
    const { parse } = await import("yaml");
    return parse(text, { logLevel: "error" }) as unknown;
  } catch (error) {
    throw invalidArgument(HullError.from(error).message, { cause: error });
  }
}

/** Looks at a device node of the host. */
function hostDevice(path: string): HostDevice {
  let info: ReturnType<typeof lstatSync>;
  try {
    info = lstatSync(path);
  } catch (error) {
    return { problem: HullError.from(error).message };
  }
  const type = info.isBlockDevice() ? "b" : info.isCharacterDevice() ? "c" : info.isFIFO() ? "p" : undefined;
  if (type === undefined) return { problem: "not a device node" };
  const { major, minor } = splitDevice(BigInt(info.rdev));
  return { type, major, minor, fileMode: info.mode & 0o7777 };
}
