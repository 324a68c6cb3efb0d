/** What users install: packed, installed into an empty project, judged, compiled against, and run by Node 20, Node 24 and Bun. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData, type Problem } from "@arethetypeswrong/core";
import { connect } from "@hull/client";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { busyboxLayer, writeBusyboxImage, writeLayout } from "../../scripts/image.ts";
import { type Daemon, noContainerd, startContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { node, nodeName, noNode, noOldNode, oldNode } from "../support/node.ts";
import { runProgram } from "../support/process.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { resultsOf, runner, type Snippet, snippetsOf } from "./snippets.ts";
import { executable, makeUserProject, project, succeed, type UserProject } from "./user-project.ts";

const lacking =
  noContainerd ?? noRegistry ?? (existsSync(executable) ? undefined : `needs "${executable}": npm run build`);

const old = `Node ${oldNode?.version ?? "20"}`;

interface Runtime {
  readonly name: string;
  readonly command: string | undefined;
  readonly why?: string | undefined;
  /** Only what tsc made of the guides' programs, without the engine. */
  readonly old?: boolean;
}

const runtimes: readonly Runtime[] = [
  { name: "Bun", command: process.execPath },
  { name: nodeName, command: node, why: noNode },
  { name: `${old}, compiled, the client's alone`, command: oldNode?.path, why: noOldNode, old: true },
];

/** All that has programs in it is compiled. */
const guides = [
  "README.md",
  ...readdirSync(join(project, "docs/guides")).map((name) => `docs/guides/${name}`),
  ...readdirSync(join(project, "packages")).map((name) => `packages/${name}/README.md`),
].filter((guide) => existsSync(join(project, guide)));
/** What these say is done; images of databases and the like are the business of other tests. */
const isRun = ({ guide }: { guide: string }) =>
  [
    "README.md",
    "docs/guides/sdk.md",
    "docs/guides/engine.md",
    "docs/guides/sandbox.md",
    "packages/client/README.md",
    "packages/embed/README.md",
  ].includes(guide);
const snippets = guides.flatMap((guide) => snippetsOf(guide).map((snippet) => ({ guide, ...snippet })));

/** A test's name, with why it is skipped. */
const named = (name: string, why: string | undefined): string =>
  why === undefined ? name : `${name} (skipped: ${why})`;

const suite = lacking === undefined ? describe : describe.skip;

suite(named("the packages", lacking), () => {
  const stack = new AsyncDisposableStack();
  let folder: Scratch;
  let user: UserProject;
  let daemon: Daemon;

  beforeAll(async () => {
    folder = stack.use(scratch());
    const registry = stack.use(await LocalRegistry.start(folder.join("registry")));
    const layout = folder.join("layout");
    const config = { Env: ["PATH=/bin"], Cmd: ["sh"] };
    writeLayout(layout, [{ name: "alpine", layers: [{ tar: busyboxLayer(), compression: "gzip" }], config }]);
    await registry.push(layout, "library/alpine:latest");
    writeBusyboxImage(folder.join("alpine.tar"), "docker.io/library/alpine:latest");
    // Docker's hub, as far as this test goes.
    mkdirSync(folder.join("hosts/docker.io"), { recursive: true });
    writeFileSync(
      folder.join("hosts/docker.io/hosts.toml"),
      `server = "http://${registry.host}"\n[host."http://${registry.host}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
    daemon = stack.use(
      await startHull(
        folder.join("daemon"),
        `[plugins."io.containerd.transfer.v1.local"]\nconfig_path = "${folder.join("hosts")}"\n[plugins."io.containerd.runtime.v2.task"]\noci_runtime = "runc"\n`,
      ),
    );
    user = await makeUserProject(folder.path);
    for (const snippet of snippets) user.write(`src/${snippet.guide}/${snippet.file}`, ownPlaces(snippet));
    user.write("runner.mjs", runner);
  }, 400_000);
  afterAll(async () => {
    await stack.disposeAsync();
    removeRoot();
  });

  /** Where the engines of guides are. */
  const root = () => folder.join("engine");
  const removeRoot = () => {
    const states = "/run/hull-engine";
    const name = root().replaceAll("/", "-").slice(1);
    const own = existsSync(states) ? readdirSync(states).filter((one) => one.startsWith(name)) : [];
    for (const path of [root(), ...own.map((one) => join(states, one))]) rmSync(path, { recursive: true, force: true });
  };
  const ownPlaces = ({ code }: Snippet) =>
    code
      .replaceAll("/var/lib/my-program/hull", root())
      .replaceAll('"alpine.tar"', JSON.stringify(folder.join("a.tar")));

  const environment = () => ({ HULL_ADDRESS: daemon.address, HULL_EXECUTABLE: undefined, NODE_NO_WARNINGS: "1" });

  test("publint and attw find nothing wrong with them", async () => {
    for (const [name, tarball] of user.tarballs) {
      const bytes = readFileSync(tarball);
      const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
      const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true });
      expect([name, messages.map((message) => formatMessage(message, pkg))]).toEqual([name, []]);
      const judged = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)));
      // They are ES modules: a CommonJS program gets them by import(). TypeScript's oldest resolution knows no exports.
      const asMeant = (problem: Problem) =>
        problem.kind === "CJSResolvesToESM" || ("resolutionKind" in problem && problem.resolutionKind === "node10");
      const problems = "problems" in judged ? judged.problems.filter((one) => !asMeant(one)) : judged;
      expect([name, problems]).toEqual([name, []]);
    }
  });

  test("have no scripts, and no path or name of the workspace in them", () => {
    for (const [name] of user.tarballs) {
      const home = join(user.folder, "node_modules", name);
      const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as object;
      expect([name, Object.keys(manifest).filter((key) => key === "scripts" || key === "devDependencies")]).toEqual([
        name,
        [],
      ]);
      for (const file of readdirSync(home).filter((one) => /\.(js|ts)$/.test(one))) {
        const text = readFileSync(join(home, file), "utf8");
        expect([
          file,
          text.includes(project),
          /(?:from|import\() ?"@hull\/(?!(?:client|engine)(?:\/internal\/|"))/.test(text),
        ]).toEqual([file, false, false]);
      }
    }
  });

  test("are as large as the README says, or hardly larger", () => {
    const rows = readFileSync(join(project, "README.md"), "utf8").matchAll(
      /^\| `(@hull\/\w+)` \| (\d+) \| (\d+) KiB/gm,
    );
    const told = new Map(
      [...rows].map(([, name = "", files, code]) => [name, { files: Number(files), code: Number(code) }]),
    );
    for (const [name] of user.tarballs) {
      const home = join(user.packed, name.replace("@hull/", ""));
      const files = readdirSync(home);
      const code = files
        .filter((file) => file.endsWith(".js"))
        .reduce((sum, file) => sum + statSync(join(home, file)).size, 0);
      const limit = told.get(name);
      expect([name, files.length < 1.2 * (limit?.files ?? 0), code / 1024 < 1.2 * (limit?.code ?? 0)]).toEqual([
        name,
        true,
        true,
      ]);
    }
  });

  test("have a reference in docs/api that is current (npm run docs:api)", async () => {
    const made = folder.join("api");
    await succeed(["node", join(project, "scripts/docs-api.mjs"), "--packed", user.packed, made]);
    for (const name of readdirSync(made))
      expect([name, readFileSync(join(made, name), "utf8")]).toEqual([
        name,
        readFileSync(join(project, "docs/api", name), "utf8"),
      ]);
  });

  for (const moduleResolution of ["nodenext", "bundler"])
    test(`compile in strict projects (${moduleResolution}), the guides' programs and what is wrong on purpose`, async () => {
      user.write("src/wrong.ts", readFileSync(join(import.meta.dir, "wrong.ts.txt"), "utf8"));
      const config = user.write(
        `tsconfig.${moduleResolution}.json`,
        JSON.stringify({
          compilerOptions: {
            target: "es2022",
            lib: ["es2023", "esnext.disposable", "dom", "dom.asynciterable"],
            module: moduleResolution === "nodenext" ? "nodenext" : "esnext",
            moduleResolution,
            strict: true,
            noUncheckedIndexedAccess: true,
            types: ["node"],
            // What a guide uses beside.
            paths: { pg: [join(project, "node_modules/@types/pg/index.d.mts")] },
            rootDir: "src",
            outDir: "out",
          },
          include: ["src"],
        }),
      );
      await succeed([join(project, "node_modules/.bin/tsc"), "-p", config]);
    });

  test("compile without the types of any runtime", async () => {
    const names = ["@hull/client", "@hull/client/services", "@hull/engine", "@hull/testing"];
    user.write("all.ts", names.map((name, at) => `export * as part${at} from "${name}";\n`).join(""));
    const compilerOptions = {
      lib: ["es2023", "esnext.disposable", "dom"],
      module: "nodenext",
      strict: true,
      noEmit: true,
      types: [],
    };
    const config = user.write("tsconfig.all.json", JSON.stringify({ compilerOptions, files: ["all.ts"] }));
    await succeed([join(project, "node_modules/.bin/tsc"), "-p", config]);
  });

  test.skipIf(noOldNode !== undefined)(
    named(`run under ${old}, compiled: on hull, and on the real containerd`, noOldNode),
    async () => {
      await using containerd = await startContainerd(folder.join("containerd"));
      const first = "./out/packages/client/README.md/readme-1.js";
      const setup = user.write(
        "import.mjs",
        `import { createReadStream } from "node:fs";
       import { connect } from "@hull/client";
       const hull = await connect();
       await hull.images.import(createReadStream(${JSON.stringify(folder.join("alpine.tar"))}));
       await hull[Symbol.asyncDispose]();`,
      );
      for (const { address } of [daemon, containerd]) {
        const { stdout } = await succeed([oldNode?.path ?? "", "runner.mjs", setup, first], {
          cwd: user.folder,
          env: { ...environment(), HULL_ADDRESS: address },
        });
        expect(resultsOf(stdout).map(({ failure }) => failure)).toEqual([undefined, undefined]);
        expect(resultsOf(stdout)[1]?.output).toBe("hello\n\n");
      }
    },
  );

  test.skipIf(noOldNode !== undefined)(
    named(`@hull/testing takes away what a killed program of ${old} leaves`, noOldNode),
    async () => {
      const program = user.write(
        "killed.mjs",
        `import { startContainer } from "@hull/testing";
       const { id } = await startContainer("alpine", { command: ["sleep", "1000"] });
       console.log(id);
       process.kill(process.pid, "SIGKILL");`,
      );
      await using hull = await connect({ address: daemon.address });
      const gone = new Set<string>();
      const end = new AbortController();
      const events = hull.events({
        topics: ["/containers/delete"],
        signal: AbortSignal.any([end.signal, AbortSignal.timeout(30_000)]),
      });
      const told = Promise.withResolvers<void>();
      const watching = (async () => {
        for await (const { event } of events) {
          gone.add(event.id);
          told.resolve();
        }
      })().catch(told.reject);
      const { stdout, status } = await runProgram([oldNode?.path ?? "", program], {
        cwd: user.folder,
        env: environment(),
      });
      expect(status).toBe(128 + 9);
      await told.promise;
      expect([...gone]).toEqual([stdout.trim()]);
      end.abort();
      await watching;
    },
  );

  for (const { name, command, why, old = false } of runtimes)
    test.skipIf(why !== undefined)(
      named(`the guides' programs print what is said (${name})`, why),
      async () => {
        removeRoot();
        const programs = snippets.filter((snippet) => isRun(snippet) && !(old && snippet.engine));
        const setup = user.write(
          "setup.mjs",
          old
            ? ""
            : `import { createReadStream } from "node:fs";
         import { Engine } from "@hull/engine";
         const hull = await Engine.open({ root: ${JSON.stringify(root())} });
         await hull.images.import(createReadStream(${JSON.stringify(folder.join("alpine.tar"))}));
         await hull[Symbol.asyncDispose]();`,
        );
        const files = programs.map(({ guide, file }) =>
          old ? `./out/${guide}/${file.replace(".ts", ".js")}` : `./src/${guide}/${file}`,
        );
        const { stdout, stderr } = await runProgram([command ?? "", "runner.mjs", setup, ...files], {
          cwd: user.folder,
          env: environment(),
          // Told apart from the test's own end: what has been printed until then says where it hangs.
          timeoutMs: 200_000,
        });
        const results = resultsOf(stdout).slice(1);
        const told = programs.map(({ guide, line }, at) => ({ at: `${guide}:${line}`, ...results[at] }));
        expect(told.filter(({ failure }) => failure !== undefined)).toEqual([]);
        expect(told.map(({ at, output = stderr }) => [at, output.trimEnd()])).toEqual(
          programs.map(({ guide, line, output }) => [`${guide}:${line}`, output.trimEnd()]),
        );
      },
      240_000,
    );
});
