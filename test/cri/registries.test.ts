/** What pods' images are pulled from by the tables of older configurations, and with whose credentials. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { IntrospectionDefinition } from "@hull/api/gen/containerd/services/introspection/v1/introspection";
import { ImageServiceDefinition } from "@hull/api/gen/cri/v1/cri";
import { type Client, connect } from "@hull/client/client";
import { isCode } from "@hull/errors";
import { busyboxLayer, writeLayout } from "../../scripts/image.ts";
import { type Daemon, noContainerd } from "../support/containerd.ts";
import { startHull } from "../support/hull.ts";
import { LocalRegistry, noRegistry } from "../support/registry.ts";
import { scratch } from "../support/scratch.ts";

/** The CRI is there a moment after the daemon: until then calls are Unavailable. */
async function begun(client: Client): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await client.service(ImageServiceDefinition).listImages({});
      return;
    } catch (error) {
      if (tries === 2000 || !isCode(error, "unavailable")) throw error;
      await Bun.sleep(20);
    }
  }
}

const lacking = noContainerd ?? noRegistry;

describe.skipIf(lacking !== undefined)(
  `registries of pods${lacking === undefined ? "" : ` (skipped: ${lacking})`}`,
  () => {
    const stack = new AsyncDisposableStack();
    let registry: LocalRegistry;
    let daemon: Daemon;

    beforeAll(async () => {
      const folder = stack.use(scratch());
      const passwords = folder.join("htpasswd");
      await Bun.write(passwords, `user:${await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 4 })}\n`);
      const auth = `htpasswd: {realm: test, path: ${passwords}}`;
      registry = stack.use(await LocalRegistry.start(folder.join("registry"), { auth }));
      const layers = [{ tar: busyboxLayer(), compression: "gzip" }] as const;
      writeLayout(folder.join("layout"), [{ name: "example.com/hello:1", layers }]);
      await registry.push(folder.join("layout"), "library/hello:latest", "user:secret");
      const config = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/hello:latest"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
  endpoint = ["http://${registry.host}"]
[plugins."io.containerd.grpc.v1.cri".registry.configs."${registry.host}".auth]
  username = "user"
  password = "secret"
`;
      daemon = stack.use(await startHull(folder.join("h"), config));
    });
    afterAll(() => stack.disposeAsync());

    test("mirrors, their credentials, and those of a call", async () => {
      await using client = await connect({ address: daemon.address });
      await begun(client);
      const images = client.service(ImageServiceDefinition);
      const pull = async (image: string, auth = {}): Promise<string> => {
        try {
          return (await images.pullImage({ image: { image }, auth: Object.keys(auth).length === 0 ? undefined : auth }))
            .imageRef;
        } catch (error) {
          return (error as Error).message;
        }
      };
      const own = `${registry.host}/library/hello`;
      const id = await pull("hello");
      expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(await pull(own, { username: "user", password: "wrong" })).toContain("was answered with 401");
      expect(await pull(own, { username: "user", password: "secret", serverAddress: "https://other" })).toContain(
        "401",
      );
      expect(await pull(own, { auth: btoa("user:secret"), serverAddress: `http://${registry.host}` })).toBe(id);
      const [image, ...more] = (await images.listImages({})).images;
      expect(more).toEqual([]);
      expect(image).toMatchObject({ id, pinned: true, repoTags: [`${own}:latest`, "docker.io/library/hello:latest"] });
      const { deprecations } = await client.service(IntrospectionDefinition).server({});
      expect(deprecations.map(({ id }) => id)).toEqual([
        "io.containerd.deprecation/cri-registry-mirrors",
        "io.containerd.deprecation/cri-registry-configs",
      ]);
    });
  },
);
