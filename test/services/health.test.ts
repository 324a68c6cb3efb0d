import { HealthDefinition } from "@hull/api/gen/grpc/health/v1/health";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const health = (client: Client) => client.service(HealthDefinition);

comparedService("health", (test) => {
  test("check and watch", async ({ same }) => {
    await same("all", (client) => health(client).check({ service: "" }));
    await same("an unknown service", (client) => health(client).check({ service: "nothing" }));
    await same("one that is served", (client) =>
      health(client).check({ service: "containerd.services.images.v1.Images" }),
    );
    const first = async (client: Client, service: string) => {
      for await (const status of health(client).watch({ service })) return status;
      return undefined;
    };
    await same("watch all", (client) => first(client, ""));
    await same("watch an unknown one", (client) => first(client, "nothing"));
  });
});
