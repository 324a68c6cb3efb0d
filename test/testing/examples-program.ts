/**
 * A Redis and a PostgreSQL for a test suite, used by clients of theirs:
 *
 *   examples-program.ts ADDRESS|engine REDIS.tar POSTGRES.tar
 */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { forHealth, forLog, forPort, openSession, type Session } from "@hull/testing";
import pg from "pg";

const [address = "", redisArchive = "", postgresArchive = ""] = process.argv.slice(2);

/** Commands, one behind the other, in Redis's protocol (RESP2, arrays of bulk strings). Gives all answers as they came. */
async function ask(port: number, ...commands: readonly (readonly string[])[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  for (const words of [...commands, ["QUIT"]])
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
  return await text(socket);
}

async function tryRedis(session: Session): Promise<void> {
  await using redis = await session.startContainer("redis:7", {
    ports: [6379],
    wait: [forPort(6379), forLog("Ready to accept connections")],
    memory: 256 << 20,
  });
  const answers = await ask(redis.port(6379), ["SET", "greeting", "hello"], ["GET", "greeting"], ["INCR", "count"]);
  assert.equal(answers, "+OK\r\n$5\r\nhello\r\n:1\r\n+OK\r\n");
  assert.equal((await redis.exec(["redis-cli", "DBSIZE"])).stdout, "2\n");
}

async function tryPostgres(session: Session): Promise<void> {
  await using postgres = await session.startContainer("postgres:15", {
    env: { POSTGRES_PASSWORD: "secret" },
    ports: [5432],
    wait: [forPort(5432), forHealth(["pg_isready", "-q"])],
    files: [
      {
        path: "/seed.sql",
        content: "create table animals (name text primary key); insert into animals values ('owl');",
      },
    ],
  });
  const seeded = await postgres.exec(["psql", "-qU", "postgres", "-f", "/seed.sql"], { env: { PGPASSWORD: "secret" } });
  assert.deepEqual([seeded.code, seeded.stderr], [0, ""]);
  const client = new pg.Client({
    host: postgres.host,
    port: postgres.port(5432),
    user: "postgres",
    password: "secret",
  });
  await client.connect();
  await client.query("insert into animals values ($1)", ["stoat"]);
  assert.deepEqual((await client.query("select name from animals order by name")).rows, [
    { name: "owl" },
    { name: "stoat" },
  ]);
  await client.end();
  const wrong = new pg.Client({ host: postgres.host, port: postgres.port(5432), user: "postgres", password: "wrong" });
  await assert.rejects(wrong.connect(), /password authentication failed/);
}

await using session = await openSession({ address });
await session.withHull(async (hull) => {
  for (const archive of [redisArchive, postgresArchive]) await hull.images.import(createReadStream(archive));
});
await Promise.all([tryRedis(session), tryPostgres(session)]);
console.log("all well");
