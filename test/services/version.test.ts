import { VersionDefinition } from "@hull/api/gen/containerd/services/version/v1/version";
import { comparedService } from "../support/services.ts";

comparedService("version", (test) => {
  test("has a version and a revision, whatever the namespace", async ({ same }) => {
    for (const namespace of ["default", "", "bad--name"]) {
      await same(namespace, async (client) => {
        const version = client.withNamespace(namespace).service(VersionDefinition);
        return Object.entries(await version.version({})).map(([name, value]) => [name, value !== ""]);
      });
    }
  });
});
