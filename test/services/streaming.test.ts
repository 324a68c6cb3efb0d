import { StreamInit, StreamingDefinition } from "@hull/api/gen/containerd/services/streaming/v1/streaming";
import type { Any } from "@hull/api/gen/google/protobuf/any";
import { encodeAny } from "@hull/api/typeurl";
import type { Client } from "@hull/client/client";
import { comparedService } from "../support/services.ts";

const init = (id: string): Any => encodeAny("containerd.services.streaming.v1.StreamInit", StreamInit, { id });

/** Sends these messages and then nothing, without saying that it is all; gives the first `count` answers. */
async function talk(client: Client, messages: readonly Any[], count: number, end = false): Promise<Any[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* requests(): AsyncGenerator<Any> {
    yield* messages;
    if (!end) await promise;
  }
  const answers: Any[] = [];
  try {
    for await (const answer of client.service(StreamingDefinition).stream(requests())) {
      answers.push(answer);
      if (answers.length === count) break;
    }
    return answers;
  } finally {
    resolve();
  }
}

comparedService("streaming", (test) => {
  const started = [{ typeUrl: "google.protobuf.Empty", value: "" }];

  test("a stream that is named is answered", async ({ same }) => {
    await same("one", (client) => talk(client, [init("one")], 1), { newer: started });
    await same("one with content", (client) => talk(client, [init("two"), init("x")], 1), { newer: started });
    await same("without an id", (client) => talk(client, [init("")], 1), { newer: started });
    await same("with a strange id", (client) => talk(client, [init("a/b c")], 1), { newer: started });
  });

  test("what is no beginning is refused", async ({ same }) => {
    // containerd gives the errors of its parts as they are, all of them Unknown; hull tells what is the caller's fault.
    await same("nothing at all", (client) => talk(client, [], 1, true), {
      own: "invalidArgument: a stream begins with a StreamInit that names it",
    });
    const initType = "containerd.services.streaming.v1.StreamInit";
    await same("another type", (client) => talk(client, [{ typeUrl: "example.com/x", value: Buffer.from("x") }], 1), {
      own: `invalidArgument: an Any of type "example.com/x" was given where "${initType}" is needed`,
    });
    await same("bad bytes", (client) => talk(client, [{ ...init(""), value: Buffer.from([0x0a, 9]) }], 1), {
      own: `invalidArgument: the bytes of an Any of type "${initType}" are not such a message`,
    });
  });

  test("the namespace of a stream is not looked at before it is used", async ({ same }) => {
    const begin = (namespace: string) => (client: Client) => talk(client.withNamespace(namespace), [init("one")], 1);
    await same("none", begin(""), { newer: started });
    await same("a bad one", begin("a--b"), { newer: started });
  });

  test("an id is taken while its stream lasts", async ({ same }) => {
    const twice = async (client: Client) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      async function* requests(): AsyncGenerator<Any> {
        yield init("same");
        await promise;
      }
      const first = client.service(StreamingDefinition).stream(requests())[Symbol.asyncIterator]();
      try {
        await first.next();
        return await talk(client, [init("same")], 1);
      } finally {
        resolve();
        await first.return?.();
      }
    };
    await same("twice at once", twice, { own: 'alreadyExists: stream "same" already exists' });
  });
});
