import { ContainerCreate } from "@hull/api/gen/containerd/events/container";
import { TaskExit } from "@hull/api/gen/containerd/events/task";
import { EventsDefinition } from "@hull/api/gen/containerd/services/events/v1/events";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const events = (client: Client) => client.service(EventsDefinition);
const strange = { typeUrl: "example.com/strange", value: Buffer.from("anything") };
const timestamp = { seconds: 1_700_000_000n, nanos: 5 };

comparedService("events", (test) => {
  const publish =
    (topic: string, event: typeof strange = strange) =>
    (client: Client) =>
      events(client).publish({ topic, event });
  const exit = (containerId: string, exitStatus = 0) =>
    encodeAny("containerd.events.TaskExit", TaskExit, { containerId, id: containerId, exitStatus });

  test("publish, in order", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      await same("one", publish("/test/one"));
      await same("a deep one", publish("/test/one/two/three.four_five-six"));
      await same("of a known type", (client) => events(client).publish({ topic: "/tasks/exit", event: exit("a") }));
      for (const topic of ["", "/", "noslash", "//", "/a//b", "/a/", "/a b", "/a--b", "/-a", "/a/ä", "/a/*"]) {
        await same(`topic "${topic}"`, publish(topic));
      }
      await same("in no namespace", (client) => publish("/test/a")(client.withNamespace("")));
      await same("in a bad namespace", (client) => publish("/test/a")(client.withNamespace("a--b")));
      for (let n = 0; n < 20; n++) await pair.each(publish(`/test/many/${n}`));
    });
  });

  test("forward, in order", async (pair) => {
    const { same } = pair;
    const envelope = { timestamp, namespace: "elsewhere", topic: "/test/forwarded", event: strange };
    const forward = (changes: Partial<typeof envelope>) => (client: Client) =>
      events(client).forward({ envelope: { ...envelope, ...changes } });
    await pair.sameEvents(async () => {
      await same("one", forward({}));
      await same("in the caller's absence of a namespace", (client) => forward({})(client.withNamespace("")));
      await same("into a bad namespace", forward({ namespace: "a--b" }));
      await same("into none", forward({ namespace: "" }));
      await same("to a bad topic", forward({ topic: "none" }));
      await same("to no topic", forward({ topic: "" }));
      await same("at no time", forward({ timestamp: { seconds: -62_135_596_800n, nanos: 0 } }));
    });
  });

  for (const filters of [
    ['topic=="/tasks/exit"'],
    ["topic~=|^/tasks/|"],
    ['topic=="/tasks/exit",event.container_id==one'],
    ["event.container_id==one"],
    ["event.container_id!=one", "event.id==one"],
    ["event.exit_status==1"],
    ["event.runtime.name==r"],
    ["event.image"],
    ["event.none"],
    ["namespace==elsewhere"],
    ["unknown"],
    ["topic"],
    ["event"],
  ]) {
    test(`subscribe by ${filters.join(" or ")}`, async (pair) => {
      const runtime = { name: "r" };
      const created = encodeAny("containerd.events.ContainerCreate", ContainerCreate, {
        id: "one",
        image: "i",
        runtime,
      });
      const envelope = { timestamp, namespace: "elsewhere", topic: "/tasks/exit", event: exit("two") };
      await pair.sameEvents(
        () =>
          pair.each(async (client) => {
            await events(client).publish({ topic: "/tasks/exit", event: exit("one", 1) });
            await events(client).publish({ topic: "/tasks/exit", event: exit("two") });
            await events(client).publish({ topic: "/containers/create", event: created });
            await events(client).publish({ topic: "/test/strange", event: strange });
            await events(client).forward({ envelope });
          }),
        { filters },
      );
    });
  }

  test("subscribe by filters that don't parse", async ({ same }) => {
    // A slip of containerd: such an error is Unknown here, Invalid Argument everywhere else.
    for (const [filter, problem] of [
      ["topic=", '[topic >|=|< ]: unsupported operator "="'],
      ["==", "[ >|=|< =]: expected field or quoted"],
    ] as const) {
      await same(`filter ${filter}`, (client) => events(client).subscribe({ filters: [filter] }), {
        own: { messages: [], error: `invalidArgument: filters: parse error: ${problem}` },
      });
    }
  });
});
