import {
  ContentDefinition,
  WriteAction,
  type WriteContentRequest,
} from "@hull/api/gen/containerd/services/content/v1/content";
import { LeasesDefinition } from "@hull/api/gen/containerd/services/leases/v1/leases";
import { isZeroTime } from "@hull/api/timestamp";
import type { Client } from "@hull/client/client";
import { writeBlob } from "../support/blobs.ts";
import { comparedService } from "../support/services.ts";

const content = (client: Client) => client.service(ContentDefinition);
const digestOf = (text: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;
const longLabel = { mask: /value( length \(\d+ bytes\))?(?= greater)/g };

type Step = Partial<Omit<WriteContentRequest, "data">> & { data?: string };

/** A writer's messages, and what each is answered with. (containerd sends its last answer a second time.) */
const write = (...steps: readonly Step[]) =>
  async function* (client: Client) {
    const requests = (async function* () {
      for (const { data = "", ...step } of steps) yield { ...step, data: Buffer.from(data) };
    })();
    let answers = 0;
    for await (const answer of content(client).write(requests)) {
      // The older one has a way of its own to say that there is no time.
      const { startedAt, updatedAt, ...rest } = answer;
      if (answers++ < steps.length) yield { ...rest, told: !isZeroTime(startedAt) && !isZeroTime(updatedAt) };
    }
  };

const { STAT, WRITE, COMMIT } = WriteAction;

comparedService("content", (test) => {
  test("write, with events", async (pair) => {
    const { same } = pair;
    await pair.sameEvents(async () => {
      // Kept from the collector while the test goes on.
      await pair.each(async (client) => client.service(LeasesDefinition).create({ id: "keeps" }));
      const kept =
        (...steps: readonly Step[]) =>
        (client: Client) =>
          write(...steps)(client.withLeaseId("keeps"));
      const text = "hello";
      await same("in one", kept({ action: COMMIT, ref: "one", total: 5n, expected: digestOf(text), data: text }));
      await same("again", kept({ action: COMMIT, ref: "one", total: 5n, expected: digestOf(text), data: text }));
      await same("again without its digest", kept({ action: COMMIT, ref: "two", total: 5n, data: text }));
      await same(
        "in steps",
        kept(
          { action: STAT, ref: "steps", total: 6n },
          { action: WRITE, offset: 0n, data: "abc" },
          { action: STAT },
          { action: WRITE, offset: 3n, data: "def" },
          { action: COMMIT, offset: 6n, labels: { a: "b", empty: "" } },
        ),
      );
      await same("without a reference", write({ action: STAT }));
      await same("without anything", write({}));
      await same("with no message", write(), { own: [] });
      await same("wrong size", kept({ action: COMMIT, ref: "size", total: 4n, data: "hello size" }));
      await same(
        "wrong digest",
        kept({ action: COMMIT, ref: "digest", expected: digestOf("x"), data: "hello digest" }),
      );
      await same("malformed digest", kept({ action: COMMIT, ref: "malformed", expected: "sha256:x", data: "hello m" }));
      await same("a gap", kept({ action: WRITE, ref: "gap", offset: 5n, data: "x" }));
      await same(
        "a step back",
        kept({ action: WRITE, ref: "back", data: "abcdef" }, { action: WRITE, offset: 3n, data: "x" }),
      );
      await same(
        "from the start again",
        kept(
          { action: WRITE, ref: "restart", data: "abcdef" },
          { action: WRITE, offset: 0n, data: "xyz" },
          { action: COMMIT, offset: 3n },
        ),
      );
      await same(
        "a commit without its offset",
        kept({ action: WRITE, ref: "nooffset", data: "abcdefg" }, { action: COMMIT, total: 7n }),
      );
      await same(
        "long label",
        kept({ action: COMMIT, ref: "long", data: "long", labels: { long: "x".repeat(5000) } }),
        longLabel,
      );
      await same("nothing at all", kept({ action: COMMIT, ref: "empty", expected: digestOf("") }));
      await same("an unknown action", kept({ action: 9 as WriteAction, ref: "action", data: "x" }));
      await same("negative offset", kept({ action: WRITE, ref: "negative", offset: -1n, data: "x" }));
      await same("without a lease of that name", (client) =>
        write({ action: COMMIT, ref: "nolease", data: "nolease" })(client.withLeaseId("none")),
      );
    });
  });

  test("ingests: go on, status, abort", async (pair) => {
    const { same } = pair;
    await same(
      "begin",
      write({ action: WRITE, ref: "part", total: 10n, expected: digestOf("partpart"), data: "part" }),
    );
    await same("status", (client) => content(client).status({ ref: "part" }));
    await same("status of none", (client) => content(client).status({ ref: "none" }));
    await same("status of nothing", (client) => content(client).status({ ref: "" }));
    for (const filter of ["", "ref==part", "ref~=par", "ref==none", "expected", "ref="]) {
      await same(`statuses ${filter}`, async (client) => {
        const { statuses } = await content(client).listStatuses({ filters: [filter] });
        return statuses.sort((one, other) => one.ref.localeCompare(other.ref));
      });
    }
    await same("go on", write({ action: STAT, ref: "part", total: 10n }, { action: WRITE, offset: 4n, data: "part" }));
    await same("commit", write({ action: COMMIT, ref: "part", offset: 8n, total: 10n }));
    await same("status after it", (client) => content(client).status({ ref: "part" }));
    await same("commit what is there", write({ action: COMMIT, ref: "part", offset: 8n }));
    await same("abort", async (client) => {
      for await (const _ of write({ action: WRITE, ref: "gone", data: "x" })(client));
      return await content(client).abort({ ref: "gone" });
    });
    await same("abort of none", (client) => content(client).abort({ ref: "none" }));
    await same("abort of nothing", (client) => content(client).abort({ ref: "" }));
  });

  test("a reference that is in use", async ({ same }) => {
    const since = { mask: /locked for .*/ };
    const contend = async function* (client: Client) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const first = content(client).write(
        (async function* () {
          yield { action: STAT, ref: "locked" };
          await promise;
        })(),
      );
      for await (const answer of first) {
        yield answer;
        try {
          for await (const other of write({ action: STAT, ref: "locked" })(client)) yield other;
        } finally {
          resolve();
        }
      }
    };
    await same("locked", contend, since);
  });

  test("info, list, update and read", async (pair) => {
    const { same } = pair;
    const text = "0123456789";
    const digest = digestOf(text);
    await pair.each((client) =>
      writeBlob(client.withLeaseId("keeps"), text, { a: "b", "containerd.io/gc.root": "true", "d.e": "f" }),
    );
    await same("info", (client) => content(client).info({ digest }));
    await same("info of none", (client) => content(client).info({ digest: digestOf("none") }));
    for (const bad of ["", "sha256:x", "nothing"]) {
      await same(`info of "${bad}"`, (client) => content(client).info({ digest: bad }));
      await same(`read of "${bad}"`, (client) => content(client).read({ digest: bad }));
      await same(`delete of "${bad}"`, (client) => content(client).delete({ digest: bad }));
      await same(`update of "${bad}"`, (client) => content(client).update({ info: { digest: bad } }));
    }
    for (const filter of ["labels.a==b", `digest==${digest}`, 'labels."d.e"', "size==10", "labels.none", "digest="]) {
      await same(`list ${filter}`, async function* (client) {
        for await (const { info } of content(client).list({ filters: [filter] })) {
          // The older one forgets in lists when they were updated.
          yield info.map(({ updatedAt: _, ...rest }) => rest);
        }
      });
    }
    const update =
      (labels: Record<string, string>, ...updateMask: string[]) =>
      (client: Client) =>
        content(client).update({ info: { digest, labels }, updateMask });
    const root = { "containerd.io/gc.root": "true" };
    await same("update labels", update({ ...root, x: "1", y: "2" }, "labels"));
    await same("update one label", update({ x: "3", z: "4" }, "labels.x"));
    await same("update one label away", update({}, "labels.x"));
    await same("update with an empty label", update({ y: "" }, "labels.y"));
    await same("update by a bad mask", update({}, "size"));
    await same("update by a bad mask", update({ q: "r" }, "labels.q", "digest"));
    await same("update with a long label", update({ long: "x".repeat(5000) }, "labels.long"), longLabel);
    await same("update all", update({ ...root, all: "new" }));
    await same("update none", (client) => content(client).update({ info: { digest: digestOf("none") } }));
    for (const [offset, size] of [
      [0n, 0n],
      [0n, 3n],
      [3n, 4n],
      [5n, 100n],
      [10n, 0n],
      [11n, 0n],
      [-5n, 0n],
      [0n, -1n],
    ] as const) {
      await same(`read ${offset} ${size}`, (client) => content(client).read({ digest, offset, size }));
    }
    await same("read none", (client) => content(client).read({ digest: digestOf("none") }));
    await same("info elsewhere", (client) => content(client.withNamespace("other")).info({ digest }));
    await same("read elsewhere", (client) => content(client.withNamespace("other")).read({ digest }));
    await same("list elsewhere", (client) => content(client.withNamespace("other")).list({}));
    await same("shared, by its digest alone", (client) =>
      write({ action: COMMIT, ref: "shared", expected: digest, total: 10n, offset: 10n })(
        client.withNamespace("other"),
      ),
    );
    await same("read there", (client) => content(client.withNamespace("other")).read({ digest }));
  });

  test("delete, with events", async (pair) => {
    const { same } = pair;
    const digest = digestOf("deleted");
    await pair.each((client) => writeBlob(client.withLeaseId("keeps"), "deleted"));
    const work = async (): Promise<void> => {
      await same("delete", (client) => content(client).delete({ digest }));
      await same("twice", (client) => content(client).delete({ digest }));
      await same("info", (client) => content(client).info({ digest }));
    };
    // What is collected meanwhile the older one doesn't tell.
    await pair.sameEvents(work, { filters: [`event.digest=="${digest}"`] });
  });

  test("namespaces that are missing or malformed", async ({ same }) => {
    for (const namespace of ["", "bad--name"]) {
      const inIt = (client: Client) => content(client.withNamespace(namespace));
      const digest = digestOf("x");
      await same(`info in "${namespace}"`, (client) => inIt(client).info({ digest }));
      await same(`list in "${namespace}"`, (client) => inIt(client).list({}));
      await same(`read in "${namespace}"`, (client) => inIt(client).read({ digest }));
      await same(`delete in "${namespace}"`, (client) => inIt(client).delete({ digest }));
      await same(`status in "${namespace}"`, (client) => inIt(client).status({ ref: "r" }));
      await same(`statuses in "${namespace}"`, (client) => inIt(client).listStatuses({}));
      await same(`abort in "${namespace}"`, (client) => inIt(client).abort({ ref: "r" }));
      await same(`write in "${namespace}"`, (client) => write({ ref: "r" })(client.withNamespace(namespace)));
    }
  });
});
